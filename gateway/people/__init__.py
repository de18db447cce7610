"""What people do with their account: sign up, in and out, prove who they are, choose, leave."""
