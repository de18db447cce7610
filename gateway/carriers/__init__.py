"""The carriers that a gateway can place calls with: one folder for each."""
