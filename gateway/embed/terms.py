"""Declares what holds for a call that a visitor begins with a button, and what it counts for.

Part of the order that a call token allows. Knows no store and no price.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from gateway.embed.rules import Amounts, Rules
from gateway.limits.velocity import (
    Use,
    button_uses,
    visitor_network_uses,
    visitor_token_uses,
    visitor_uses,
)


class VisitorTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for a call that a visitor begins with a button on another page."""

    # What a visitor's call costs, who pays and how much there is, is its owner's alone: whoever
    # reports to its caller leaves that out.

    button_id: str
    key: str
    """The publishable key that it was asked for with."""
    seconds_max: int
    """Longest that the call may last."""
    calls_max: int
    """Most calls of the button at once."""
    is_signed: bool = False
    """Whether the owner's back end has named the destination."""
    signer_key_id: str = ""
    """Of the API key that it did so with; empty for none."""
    visitor: str = ""
    """Whose calls it is one of: a digest of the day, or of whom the owner's back end names
    (`embed.visitor`)."""
    network: str = ""
    """Of which network, a digest too; empty where the owner's back end has asked."""
    amounts: Amounts = Amounts()
    """How many calls may begin."""
    era: str = ""
    """In which the token was asked for; see `embed.ports.ButtonEras`."""

    def under(self, rules: Rules) -> VisitorTerms:
        """Return the same under other rules of its button; who calls whom stays."""
        return msgspec.structs.replace(
            self,
            seconds_max=rules.seconds_max,
            calls_max=rules.calls_at_once,
            amounts=rules.amounts,
        )

    @property
    def token_uses(self) -> Sequence[Sequence[Use]]:
        """What its token uses of both, likewise."""
        amounts = msgspec.structs.asdict(self.amounts)
        return visitor_token_uses(self.visitor, self.network, amounts)

    @property
    def own_uses(self) -> Sequence[Sequence[Use]]:
        """What the call uses of its visitor's allowance, and then of their network's.

        Counted one after the other: who is refused for themselves uses up nobody else's calls.
        """
        amounts = msgspec.structs.asdict(self.amounts)
        return visitor_uses(self.visitor, amounts), visitor_network_uses(self.network, amounts)

    @property
    def button_uses(self) -> Sequence[Use]:
        """What it uses of the allowance that all visitors of the button share."""
        return button_uses(self.button_id, msgspec.structs.asdict(self.amounts))
