"""Generation engines and the elastic pool of them."""
