"""The gateway's WebRTC endpoint: ICE-lite, DTLS-SRTP and one UDP port for all calls of a node.

`stun` and `sdp` parse; `session` takes and returns datagrams; `endpoint` owns the socket.
"""
