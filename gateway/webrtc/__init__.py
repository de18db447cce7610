"""The gateway's WebRTC endpoint: ICE-lite, DTLS-SRTP and one UDP port for all calls of a node.

`stun` and `sdp` are pure; `session` takes and returns datagrams; `endpoint` owns the socket.
"""
