# Measurements; not part of `make test`. tests/bench/learning trains for hours and is run by hand.
BENCHES := logprobs packing agreement verifier

.PHONY: bench
bench: env ## run the benches, or one: BENCH=packing ARGS="--repeats 9" (ARGS=--help says what it does)
	@for name in $(or $(BENCH),$(BENCHES)); do \
	  printf '\n==> tests/bench/%s %s\n' $$name "$(ARGS)"; \
	  $(BIN)/python tests/bench/$$name$$(test -d tests/bench/$$name || echo .py) $(ARGS) || exit 1; \
	done
