"""What a call costs and who pays; knows no audio and no HTTP."""
