"""Media sockets: WebSockets that carry audio, on the port that also serves HTTP.

Knows no call and no message format; a leg plugs its callables into a connection.
"""

from gateway.sockets.counters import EngineCounters
from gateway.sockets.engine import MediaEngine
from gateway.sockets.fast_lane import MediaSocket
from gateway.sockets.limits import MediaLimits
from gateway.sockets.one_port import OnePortServer, create_server
from gateway.sockets.phase import Phase
from gateway.sockets.tls import ServerTls

__all__ = [
    "EngineCounters",
    "MediaEngine",
    "MediaLimits",
    "MediaSocket",
    "OnePortServer",
    "Phase",
    "ServerTls",
    "create_server",
]
