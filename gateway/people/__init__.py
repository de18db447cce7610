"""What a person does with an account: signs up, in and out, proves, changes and resets."""
