# make app                    the page on http://127.0.0.1:7860 (GRADIO_SERVER_NAME and GRADIO_SERVER_PORT change that)
# make test [ARGS="-k vae"]   all tests, in two processes of one thread, and the examples in docstrings
# make test-threads           the tests of the models' mathematics once more, in one process of two threads
# make mutants                puts each fault of tests/faults.toml into a copy: do the tests notice? Takes an hour; not part of CI
# make messages               the catalogues of the page's texts, from the sources; lists what has no translation
# make lint                   ruff check, ruff format --check, mypy
# make space REPO=user/name [HARDWARE=cpu-basic]     puts this folder on Hugging Face as a Space
# PYTHON=... names another interpreter for a new .venv.

PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
APP := .venv/app-installed
DEV := .venv/dev-installed
MATHEMATICS := contract metrics vae interpolation gan flow typicality plane plane_families diffusion transformer text_transformer pixel_transformer denoiser \
  autoencoder classifier tokens ngram

.PHONY: app test test-threads mutants messages lint space

app: $(APP)
	$(BIN)/python app.py

test: $(DEV)
	$(BIN)/python -m pytest $(ARGS)

# Results may differ in the last bits with the number of threads: no test may depend on that.
test-threads: $(DEV)
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest -n 0 $(MATHEMATICS:%=tests/models/test_%.py) $(ARGS)

mutants: $(DEV)
	$(BIN)/python tools/mutants.py $(ARGS)

messages: $(DEV)
	$(BIN)/python tools/messages.py

lint: $(DEV)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

space: $(APP)
	@$(BIN)/python tools/space.py "$(REPO)" "$(HARDWARE)"

# The two stamps are newer than the requirement files they stand for: nothing is installed twice.
$(APP): requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("genmodels needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": name another one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.txt
	@touch $@

$(DEV): $(APP) requirements-dev.txt
	$(BIN)/python -m pip install -r requirements-dev.txt
	@touch $@
