"""Media sockets: WebSockets that carry audio, on the port that also serves HTTP.

Knows no call and no message format; a leg plugs its callables into a connection.
"""
