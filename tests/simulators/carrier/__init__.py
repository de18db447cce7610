"""The simulated carrier, graded by Twilio's own library and documents."""
