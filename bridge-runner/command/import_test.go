// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer"
)

var updateImports = flag.Bool("update-imports", false, "write the results of the imports into ../importer/testdata")

// importExamples returns the example configurations of a format.
func importExamples(t *testing.T, format string) []string {
	t.Helper()
	var out []string
	for _, extension := range []string{"conf", "xml"} {
		files, err := filepath.Glob(filepath.Join("..", "importer", "testdata", format, "*."+extension))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, files...)
	}
	return out
}

// The result of each example is in two files: NAME.yaml has the manifests, and NAME.txt the messages
// and the exit status. A missing NAME.yaml means that there are no manifests.
func TestImport_Examples_GiveManifestsOrReasons(t *testing.T) {
	atLeast := map[string]int{"nanomq": 30, "mosquitto": 30, "emqx": 5, "hivemq-edge": 3}
	for _, format := range importer.Formats() {
		files := importExamples(t, format)
		if len(files) < atLeast[format] {
			t.Errorf("%s has %d examples, want at least %d", format, len(files), atLeast[format])
		}
		for _, file := range files {
			name := strings.TrimSuffix(file, filepath.Ext(file))
			t.Run(format+"/"+filepath.Base(name), func(t *testing.T) {
				t.Chdir(filepath.Dir(file))
				var out, messages bytes.Buffer
				status := RunImport([]string{"--from", format, filepath.Base(file)}, nil, &out, &messages)
				fmt.Fprintf(&messages, "exit status %d\n", status)
				compare(t, filepath.Base(name)+".yaml", out.String())
				compare(t, filepath.Base(name)+".txt", messages.String())
			})
		}
	}
}

// compare compares a result with a file. A missing file is empty.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *updateImports {
		err := os.Remove(file)
		if got != "" {
			err = os.WriteFile(file, []byte(got), 0o600)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs:\n%s\nwant\n%s", file, got, want)
	}
}

// Without --from, the contents decide.
func TestImport_FormatOfExamples_IsRecognized(t *testing.T) {
	for _, format := range importer.Formats() {
		for _, file := range importExamples(t, format) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(file, "fault-option-before-connection.conf") { // it has no bridge
				continue
			}
			if got, err := importer.Guess(data); err != nil || got != format {
				t.Errorf("%s: recognized as %q: %v", file, got, err)
			}
		}
	}
}

func TestImport_Output_IsOneFileForEachBridge(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "dir")
	const file = "../importer/testdata/mosquitto/two-connections.conf"
	var out, messages bytes.Buffer
	if status := RunImport([]string{file, "-o", dir, "--local", "mqtt://mosquitto.plant.svc", "--namespace", "plant"}, nil, &out, &messages); status != Done {
		t.Fatalf("exit status %d: %s", status, &messages)
	}
	if out.Len() > 0 {
		t.Errorf("the standard output has %s", &out)
	}
	for _, name := range []string{"site-a.yaml", "site-b.yaml"} {
		if want := "the bridge is written to " + filepath.Join(dir, name) + "\n"; !strings.Contains(messages.String(), want) {
			t.Errorf("the messages lack %q:\n%s", want, &messages)
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data), `url: "mqtt://mosquitto.plant.svc"`) || !strings.Contains(string(data), "namespace: plant") {
			t.Errorf("%s lacks the local server or the namespace:\n%s", name, data)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the permissions %v: %v", name, info.Mode(), err)
		}
	}
}

// An import that would replace a file writes nothing, neither manifests nor Secrets, unless it may replace
// files.
func TestImport_ExistingFiles_AreReplacedOnlyWithOverwrite(t *testing.T) {
	dir := t.TempDir()
	configuration := filepath.Join(dir, "two.conf")
	const text = "connection a\naddress a.example\ntopic a/# out\nremote_username u\nremote_password p\nconnection b\naddress b.example\ntopic a/# out\n"
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	bridges, secrets := filepath.Join(dir, "bridges"), filepath.Join(dir, "secrets")
	old := filepath.Join(bridges, "b.yaml")
	if err := os.MkdirAll(bridges, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(old, []byte("edited\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{configuration, "-o", bridges, "--secrets", secrets, "--local", "mqtt://mosquitto.plant.svc"}
	var out, messages bytes.Buffer
	status := RunImport(args, nil, &out, &messages)
	want := "bridge-runner import: nothing is written, because these files exist: " + old + "; add --overwrite to replace them, or choose another directory\n"
	if status != Failed || messages.String() != want {
		t.Errorf("exit status %d: %s\nwant %s", status, &messages, want)
	}
	if got := filesIn(t, dir); !slices.Equal(got, []string{"bridges/b.yaml", "two.conf"}) {
		t.Errorf("the directory has %q", got)
	}
	messages.Reset()
	if status := RunImport(append(args, "--overwrite"), nil, &out, &messages); status != Done {
		t.Errorf("exit status %d: %s", status, &messages)
	}
	if got := filesIn(t, dir); !slices.Equal(got, []string{"bridges/a.yaml", "bridges/b.yaml", "secrets/a-remote/password", "two.conf"}) {
		t.Errorf("the directory has %q", got)
	}
	data, err := os.ReadFile(old)
	if err != nil || !strings.Contains(string(data), "b.example") {
		t.Errorf("b.yaml is not replaced: %s %v", data, err)
	}
	if info, err := os.Stat(old); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("b.yaml has the permissions %v: %v", info.Mode(), err)
	}
}

// An import whose last file cannot be written leaves no other file.
func TestImport_FileThatCannotBeWritten_LeavesNothing(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "secrets"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, messages bytes.Buffer
	status := RunImport([]string{"../importer/testdata/mosquitto/login.conf", "-o", filepath.Join(dir, "bridges"), "--secrets", filepath.Join(dir, "secrets")}, nil, &out, &messages)
	if status != Failed || !strings.Contains(messages.String(), filepath.Join(dir, "secrets")) || strings.Contains(messages.String(), "the bridge is written") {
		t.Errorf("exit status %d: %s", status, &messages)
	}
	if got := filesIn(t, dir); !slices.Equal(got, []string{"secrets"}) {
		t.Errorf("the directory has %q", got)
	}
}

// filesIn returns the paths of the files below a directory.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImport_Files_AreReadOnlyIfPermitted(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "etc", "certs"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"key.pem": "KEY\n", "cert.pem": "CERT\n", "cacert.pem": "CA\nTWO\n"} {
		if err := os.WriteFile(filepath.Join(root, "etc", "certs", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const file = "../importer/testdata/nanomq/tls.conf"
	var out, messages bytes.Buffer
	if status := RunImport([]string{"--files", root, file}, nil, &out, &messages); status != Done {
		t.Fatalf("exit status %d: %s", status, &messages)
	}
	for _, want := range []string{"tls.key: |\n    KEY\n", "tls.crt: |\n    CERT\n", "ca.crt: |\n    CA\n    TWO\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the Secret lacks %q:\n%s", want, &out)
		}
	}
	if strings.Contains(messages.String(), "kubectl create secret") {
		t.Errorf("a note asks for a Secret that is there: %s", &messages)
	}
	if err := os.Remove(filepath.Join(root, "etc", "certs", "key.pem")); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	messages.Reset()
	RunImport([]string{"--files", root, file}, nil, &out, &messages)
	if strings.Contains(out.String(), "KEY") || strings.Contains(out.String(), "kind: Secret") || !strings.Contains(messages.String(), "line 5: bridges.mqtt.secure.ssl.keyfile: note: the file cannot be read") {
		t.Errorf("with a missing file:\n%s\n%s", &out, &messages)
	}
}

// With --secrets, the values are files, as the flag --secrets of the runner reads them.
func TestImport_SecretsDirectory_HoldsValues(t *testing.T) {
	dir := t.TempDir()
	var out, messages bytes.Buffer
	if status := RunImport([]string{"--secrets", dir, "../importer/testdata/mosquitto/login.conf"}, nil, &out, &messages); status != Done {
		t.Fatalf("exit status %d: %s", status, &messages)
	}
	if strings.Contains(out.String(), "kind: Secret") || strings.Contains(out.String(), "s3cret") {
		t.Errorf("the standard output has the Secret:\n%s", &out)
	}
	value, err := os.ReadFile(filepath.Join(dir, "cloud-remote", "password"))
	if err != nil || string(value) != "s3cret with spaces" {
		t.Errorf("the password is %q: %v", value, err)
	}
}

// A password never appears in a message.
func TestImport_Messages_ContainNoSecrets(t *testing.T) {
	secrets := []string{"s3cret", "passwd", "local-s3cret", "access-key", "5c7e0d", "changeme", "yourpass"}
	for _, format := range importer.Formats() {
		for _, file := range importExamples(t, format) {
			var messages bytes.Buffer
			RunImport([]string{"--from", format, file}, nil, &bytes.Buffer{}, &messages)
			for _, secret := range secrets {
				text := strings.NewReplacer("password_file", "", "mosquitto_passwd", "").Replace(messages.String())
				if strings.Contains(text, secret) {
					t.Errorf("%s: the messages contain %q: %s", file, secret, text)
				}
			}
		}
	}
}

func TestImport_InvalidArguments_AreNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty.conf")
	if err := os.WriteFile(file, []byte("# nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	both := filepath.Join(t.TempDir(), "both.conf")
	if err := os.WriteFile(both, []byte("connection a\naddress b\n<mqtt-bridges>\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args   []string
		status int
		want   string
	}{
		"no file":          {nil, Usage, "name at least one FILE"},
		"unknown flag":     {[]string{"--form", "nanomq", file}, Usage, "--form"},
		"unknown format":   {[]string{"--from", "vernemq", file}, Usage, `the value "vernemq" of --from is no format; the formats are emqx, hivemq-edge, mosquitto, nanomq`},
		"no bridges":       {[]string{"--from", "nanomq", file}, Failed, "empty.conf: the file has no bridges"},
		"nothing known":    {[]string{file}, Failed, "the file has no bridge of a known format; name its format: --from emqx|hivemq-edge|mosquitto|nanomq"},
		"two formats":      {[]string{both}, Failed, "the file may be a configuration of hivemq-edge or mosquitto"},
		"missing file":     {[]string{"--from", "nanomq", file + "x"}, Failed, "empty.confx"},
		"output no dir":    {[]string{"../importer/testdata/mosquitto/minimal.conf", "-o", file}, Failed, "creating a directory"},
		"no scheme":        {[]string{"--local", "localhost:1883", "../importer/testdata/mosquitto/minimal.conf"}, Usage, `the value "localhost:1883" of --local is not the URL of a server: a server's URL must start with mqtt://`},
		"login in --local": {[]string{"--local", "mqtt://plant:pass@localhost", "../importer/testdata/mosquitto/minimal.conf"}, Usage, `the value "mqtt://...@localhost" of --local is not the URL of a server: a server's URL must not contain a user name`},
		"namespace":        {[]string{"--namespace", "Plant_1", "../importer/testdata/mosquitto/minimal.conf"}, Usage, `the value "Plant_1" of --namespace is not the name of a namespace: a lowercase RFC 1123 label must consist of`},
		"overwrite":        {[]string{"--overwrite", "../importer/testdata/mosquitto/minimal.conf"}, Usage, "--overwrite needs -o DIR or --secrets DIR"},
		"several faults":   {[]string{"../importer/testdata/nanomq/fault-qos.conf"}, Failed, "fault-qos.conf: line 4, column 64"},
	} {
		var out, messages bytes.Buffer
		status := RunImport(c.args, nil, &out, &messages)
		if status != c.status || !strings.Contains(messages.String(), c.want) {
			t.Errorf("%s: exit status %d, want %d with %q: %s", name, status, c.status, c.want, &messages)
		}
		if out.Len() > 0 {
			t.Errorf("%s: the standard output has %s", name, &out)
		}
	}
}

// The configuration chooses the names of the files, which may be devices without an end.
func TestImport_FileThatIsNoKey_IsNotRead(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"large.pem": maxSecret + 1, "ca.pem": 10} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte("x"), size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("loop", filepath.Join(dir, "loop")); err != nil {
		t.Skip(err)
	}
	for _, c := range []struct{ files, path, want string }{
		{dir, "/ca.pem", ""},
		{dir, "/large.pem", "the file cannot be read: large.pem has more than 1048576 bytes; a Secret has no room for it"},
		{dir, "/dir", "the file cannot be read: dir is no regular file"},
		{dir, "/loop", "the file cannot be read: "},
		{"/", os.DevNull, "the file cannot be read: dev/null is no regular file"},
	} {
		var out, messages bytes.Buffer
		config := "connection a\naddress h:8883\ntopic # out\nbridge_cafile " + c.path + "\n"
		RunImport([]string{"--files", c.files, "-"}, strings.NewReader(config), &out, &messages)
		if isRead := !strings.Contains(messages.String(), "cannot be read"); isRead != (c.want == "") || !strings.Contains(messages.String(), c.want) {
			t.Errorf("%s: %s\nwant %q", c.path, &messages, c.want)
		}
	}
}
