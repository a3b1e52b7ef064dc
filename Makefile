# make app                    the page on http://127.0.0.1:7860 (GRADIO_SERVER_NAME and GRADIO_SERVER_PORT change that)
# make test [ARGS="-k vae"]   the tests
# make lint                   ruff
# make space REPO=user/name   puts this folder on Hugging Face as a Space
# PYTHON=... names another interpreter for a new .venv.

PYTHON ?= $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
BIN := .venv/bin
APP := .venv/app-installed
DEV := .venv/dev-installed

.PHONY: app test lint space

app: $(APP)
	$(BIN)/python app.py

test: $(DEV)
	$(BIN)/python -m pytest $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check . $(ARGS)

space: $(APP)
	@$(BIN)/python tools/space.py $(REPO)

# The two stamps are newer than the requirement files they stand for: nothing is installed twice.
$(APP): requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("genmodels needs Python 3.11 or newer, and $(PYTHON) is " + sys.version.split()[0] + ": name another one with make PYTHON=...")'
	test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	$(BIN)/pip install -r requirements.txt
	@touch $@

$(DEV): $(APP) requirements-dev.txt
	$(BIN)/pip install -r requirements-dev.txt
	@touch $@
