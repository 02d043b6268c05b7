package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestExitCodes(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing.yaml")
	for line, c := range map[string]struct {
		code   int
		stderr string
	}{
		"--help":                        {0, ""},
		"dead redrive --help":           {0, ""},
		"":                              {2, "needs a subcommand"},
		"dance":                         {2, "dance"},
		"dead":                          {2, "needs a subcommand"},
		"dead dance":                    {2, "dance"},
		"dead list --dance":             {2, "dance"},
		"dead list --output xml":        {2, "--output"},
		"dead list --limit -1":          {2, "--limit"},
		"dead list --platform pager":    {2, "--platform"},
		"dead show":                     {2, "arg"},
		"dead show nowhere":             {2, "topic/partition/offset"},
		"dead redrive":                  {2, "--all"},
		"dead redrive a/0/1 --all":      {2, "not both"},
		"dead redrive --all --limit -1": {2, "--limit"},
		"dead redrive --rate -1":        {2, "--rate"},
		"dead redrive a/0/1 --app x":    {2, "not both"},
		"send":                          {2, "--from and --text"},
		"send --from a --text b":        {2, "--to or --group"},
		"send file --text b":            {2, "not from both"},
		"send --from a --to b --mention c --text d":   {2, "--mention needs --group"},
		"send --from a --to b --push-type x --text d": {2, "--push-type"},
		"device settings":                               {2, "arg"},
		"device settings bob --push maybe":              {2, "--push is"},
		"device settings bob --option c2c:alice":        {2, "--option is"},
		"device settings bob --quiet-daily 22-06":       {2, "--quiet-daily is"},
		"device settings bob --quiet-daily 22:00-06:00": {2, "--quiet-daily is"},
		"device settings bob --quiet-once tomorrow":     {2, "--quiet-once is"},
		"device settings bob":                           {1, "missing.yaml"},
		"device set bob":                                {2, "arg"},
		"device set bob d --event x":                    {2, "--event"},
		"device presence bob d hums":                    {2, "presence is"},
		"trace":                                         {2, "arg"},
		"credential":                                    {2, "needs a subcommand"},
		"credential check":                              {2, "arg"},
		"credential check nothing.p12":                  {1, "no such file"},
		"credential list":                               {1, "missing.yaml"},
		"pause":                                         {2, "--app, --credential or --platform"},
		"pause --platform pager":                        {2, "--platform is"},
		"pause --platform apns --app demo":              {2, "alone"},
		"pause --list --app demo":                       {2, "--list"},
		"pause --app demo":                              {1, "missing.yaml"},
		"resume":                                        {2, "--app, --credential or --platform"},
		"registry":                                      {2, "needs a subcommand"},
		"registry status":                               {1, "missing.yaml"},
		"registry rebuild":                              {2, "--yes"},
		"registry rebuild --yes":                        {1, "missing.yaml"},
		"preview":                                       {2, "--message and --devices"},
		"dead list":                                     {1, "missing.yaml"},
		"trace c2c:a:1_2_3":                             {1, "missing.yaml"},
		"topics lag":                                    {1, "missing.yaml"},
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			args := append(strings.Fields(line), "--config", missing)
			if line == "" {
				args = nil
			}
			a := execute(t, "", args...)
			if a.code != c.code || !strings.Contains(a.stderr, c.stderr) {
				t.Errorf("exit %d, want %d with %q\n%s", a.code, c.code, c.stderr, a.stderr)
			}
			if (a.stdout != "") != (c.code == 0) || (a.stderr != "") != (c.code != 0) {
				t.Errorf("stdout %q, stderr %q", a.stdout, a.stderr)
			}
		})
	}
}

func TestAddressesToListenOnAndToConnectTo(t *testing.T) {
	t.Parallel()
	for listen, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", ":8080": "127.0.0.1:8080", "0.0.0.0:8080": "127.0.0.1:8080",
		"[::]:8080": "127.0.0.1:8080", "[::1]:8080": "[::1]:8080", "api.example:80": "api.example:80",
	} {
		if got := dialable(listen); got != want {
			t.Errorf("%s: %s, want %s", listen, got, want)
		}
	}
}

func TestATableKeepsControlCharactersFromTheTerminal(t *testing.T) {
	t.Parallel()
	if got := printable("a\x1b[2Jb\n"); strings.ContainsAny(got, "\x1b\n") {
		t.Errorf("%q", got)
	}
}
