"""Declares the terms of a call that a visitor begins with a button, and the limits it uses.

Part of the order that a call token allows.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.embed.rules import ButtonRules, CallAllowance
from gateway.limits.velocity import (
    Use,
    button_uses,
    visitor_network_uses,
    visitor_token_uses,
    visitor_uses,
)


class VisitorTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The terms of a call that a visitor begins with a button on another page."""

    # What a visitor's call costs, who pays and how much there is, concerns only the button's owner:
    # reports to the caller leave it out.

    button_id: str
    key: str
    """The publishable key that requested it."""
    seconds_max: int
    """Longest that the call may last."""
    calls_max: int
    """Most calls of the button at once."""
    is_signed: bool = False
    """Whether the owner's back end has named the destination."""
    signer_key_id: str = ""
    """Id of the API key that it did so with; empty for none."""
    visitor: str = ""
    """The visitor the call counts for: a digest of the day, or of the name from the owner's back
    end (`embed.visitor`)."""
    network: str = ""
    """The network it counts for, also a digest; empty if the owner's back end requested it."""
    amounts: CallAllowance = CallAllowance()
    """How many calls may begin."""
    era: str = ""
    """The era in which the token was requested; see `buttons.ports.ButtonEras`."""

    def under(self, rules: ButtonRules) -> VisitorTerms:
        """Return the same terms under other rules of the button; caller and callee stay."""
        return msgspec.structs.replace(
            self,
            seconds_max=rules.seconds_max,
            calls_max=rules.calls_at_once,
            amounts=rules.amounts,
        )

    @property
    def token_uses(self) -> Sequence[Sequence[Use]]:
        """What its token uses of both allowances, in the same order."""
        amounts = msgspec.structs.asdict(self.amounts)
        return visitor_token_uses(self.visitor, self.network, amounts)

    @property
    def own_uses(self) -> Sequence[Sequence[Use]]:
        """What the call uses of its visitor's allowance, and then of their network's.

        Counted one after the other: a visitor who is refused uses up no one else's calls.
        """
        amounts = msgspec.structs.asdict(self.amounts)
        return visitor_uses(self.visitor, amounts), visitor_network_uses(self.network, amounts)

    @property
    def button_uses(self) -> Sequence[Use]:
        """What it uses of the allowance that all visitors of the button share."""
        return button_uses(self.button_id, msgspec.structs.asdict(self.amounts))
