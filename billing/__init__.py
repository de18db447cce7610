"""The price of calls and who pays it; knows no audio and no HTTP."""
