// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

func TestImport_UnusableFile_IsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"not UTF-8": {[]byte("connection a\naddress b\xff\n"), "line 2: the file is not UTF-8"},
		"too large": {bytes.Repeat([]byte("#"), maxBytes+1), "more than the limit"},
	} {
		if _, err := Import(c.data, "mosquitto", &draft.Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestImport_FileOfAnotherFormat_NamesIt(t *testing.T) {
	for _, c := range []struct{ from, file, want string }{
		{"nanomq", "persistence true\nconnection a\naddress b\ntopic x out\n", "the file looks like a configuration of mosquitto: import it by --from mosquitto"},
		{"emqx", "persistence true\nconnection a\naddress b\ntopic x out\n", "import it by --from mosquitto"},
		{"hivemq-edge", "bridges.mqtt.a {\n  server = \"mqtt-tcp://x:1883\"\n}\n", "import it by --from nanomq"},
	} {
		_, err := Import([]byte(c.file), c.from, &draft.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("--from %s: %v, want %q", c.from, err, c.want)
		}
	}
	_, err := Import([]byte("bridges.mqtt.a {\n"), "nanomq", &draft.Options{})
	if err == nil || strings.Contains(err.Error(), "--from") {
		t.Errorf("a fault in a file of the named format: %v", err)
	}
}

// A file that is no configuration must not make the program use memory without end.
func TestImport_HostileFile_ErrorIsShort(t *testing.T) {
	for name, c := range map[string]struct{ from, file, want string }{
		"a key with millions of parts": {"nanomq", "bridge.mqtt.b." + strings.Repeat("a.", 3<<20) + "k=1\n", "line 1, column 1: the key has more than 64 parts"},
		"a fault in each line":         {"mosquitto", strings.Repeat("x\n", 200_000), "line 100, column 1: the lines after this one are not checked"},
	} {
		_, err := Import([]byte(c.file), c.from, &draft.Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 32<<10 {
			t.Errorf("%s: %.1000v, want %q", name, err, c.want)
		}
	}
}

// Words that a version of YAML reads as another type are quoted.
func TestYAML_TextsThatLookLikeOtherTypes_AreQuoted(t *testing.T) {
	for _, text := range []string{"on", "Off", "yes", "n", "true", "null", "1", "1.5", "1:30", "0x1f", "~", "a: b", "# a", "'", `"`, "a\tb", "-", "*a", "é", "", "a\nb\n", "2026-01-01", "\x7f", "\u0085", "\uFEFFa", "\uFFFE", "a\n\x7f\n", "\U0001F600"} {
		b := draft.New(&draft.Options{}, "b", 1)
		b.Secrets["s"] = map[string]string{"password": text}
		out, err := YAML(b, "f", true)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(out), "---\n")
		var got struct {
			StringData map[string]any `json:"stringData"`
		}
		if err := yaml.Unmarshal([]byte(first), &got); err != nil || got.StringData["password"] != text {
			t.Errorf("%q is read as %v: %v\n%s", text, got.StringData, err, first)
		}
	}
}

// FuzzImport checks that each text gives an error with a position, or manifests that are valid,
// and that their YAML has the same content.
func FuzzImport(f *testing.F) {
	for _, format := range Formats() {
		files, err := filepath.Glob(filepath.Join("testdata", format, "*.[cx]*"))
		if err != nil || len(files) == 0 {
			f.Fatalf("no examples of %s: %v", format, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(format, data)
		}
	}
	f.Fuzz(func(t *testing.T, format string, data []byte) {
		result, err := Import(data, format, &draft.Options{Names: map[string]bool{}})
		if err != nil {
			return
		}
		for _, b := range result.Bridges {
			out, err := YAML(b, "file", true)
			if err != nil {
				t.Fatal(err)
			}
			if !b.Has(draft.Refused) {
				checkYAML(t, b, out)
			}
		}
	})
}

// checkYAML checks that the last document of out is the manifest of b, and valid.
func checkYAML(t *testing.T, b *draft.Bridge, out []byte) {
	t.Helper()
	documents := strings.Split(string(out), "\n---\n")
	var got v1alpha1.MQTTBridge
	if err := yaml.UnmarshalStrict([]byte(documents[len(documents)-1]), &got); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := manifest.Validate(&got).ToAggregate(); err != nil {
		t.Fatalf("the manifest is invalid: %v\n%s", err, out)
	}
	if got, want := marshal(t, &got), marshal(t, &b.Manifest); got != want {
		t.Fatalf("the YAML has %s\nwant %s", got, want)
	}
}

// marshal returns a manifest as JSON: the YAML of sigs.k8s.io/yaml cannot have control characters such as DEL.
func marshal(t *testing.T, b *v1alpha1.MQTTBridge) string {
	t.Helper()
	data, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
