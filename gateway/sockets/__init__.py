"""Media sockets: WebSockets that carry audio, on the port that also serves HTTP.

A leg plugs its callables into a connection.
"""
