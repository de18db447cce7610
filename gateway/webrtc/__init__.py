"""The browser's WebRTC peer: ICE-lite, DTLS-SRTP and one UDP port for all calls of a node.

`stun` and `sdp` are pure; the session takes datagrams and returns datagrams; `endpoint` owns the
socket. Knows no call, no carrier and no money.
"""
