"""Tests of the carriers that a gateway can place calls with."""
