// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/base64"
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the list of fields that are not masked")

// crdPath is the CRD with the schema of bridges.
var crdPath = filepath.Join("..", "..", "config", "crd", "bases", "mqttbridge.io_mqttbridges.yaml")

// schema is the part of an OpenAPI schema that the test needs.
type schema struct {
	Type                 string             `json:"type"`
	Enum                 []any              `json:"enum"`
	Properties           map[string]*schema `json:"properties"`
	Items                *schema            `json:"items"`
	AdditionalProperties *schema            `json:"additionalProperties"`
	IntOrString          bool               `json:"x-kubernetes-int-or-string"`
}

const planted = "planted-secret"

// fill returns a value of a schema with a secret in each string that a user can choose. It adds the
// path of each such field to paths.
func (s *schema) fill(path string, paths *[]string) any {
	switch {
	case s.Type == "object" && s.Properties != nil:
		out := map[string]any{}
		for name, property := range s.Properties {
			out[name] = property.fill(strings.TrimPrefix(path+"."+name, "."), paths)
		}
		return out
	case s.Type == "object" && s.AdditionalProperties != nil:
		return map[string]any{"example.com/key": s.AdditionalProperties.fill(path+"[*]", paths)}
	case s.Type == "array":
		return []any{s.Items.fill(path+"[]", paths)}
	case s.Type == "string" && len(s.Enum) == 0:
		*paths = append(*paths, path)
		return planted
	}
	return nil
}

// unmasked returns the paths of the strings in a value that contain the secret.
func unmasked(path string, value any) []string {
	var out []string
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			if key == "example.com/key" {
				out = append(out, unmasked(path+"[*]", v)...)
				continue
			}
			out = append(out, unmasked(strings.TrimPrefix(path+"."+key, "."), v)...)
		}
	case []any:
		for _, v := range value {
			out = append(out, unmasked(path+"[]", v)...)
		}
	case string:
		if strings.Contains(value, planted) {
			out = append(out, path)
		}
	}
	return out
}

// Each string field of a bridge is either masked, or in a list that a person has read. A new field
// of the API that may hold a secret cannot be forgotten.
func TestMasker_EachFieldOfABridge_IsMaskedOrListed(t *testing.T) {
	data, err := os.ReadFile(crdPath)
	if err != nil {
		t.Fatal(err)
	}
	var crd struct {
		Spec struct {
			Versions []struct {
				Schema struct {
					OpenAPIV3Schema *schema `json:"openAPIV3Schema"`
				} `json:"schema"`
			} `json:"versions"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(data, &crd); err != nil {
		t.Fatal(err)
	}
	var paths []string
	object, _ := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"].fill("spec", &paths).(map[string]any)
	if len(paths) < 150 {
		t.Fatalf("the schema has only %d strings", len(paths))
	}
	NewMasker().Object(object)
	got := unmasked("spec", object)
	for i := range got { // both sides and all servers have the same fields
		got[i] = strings.NewReplacer("spec.local.backups[]", "SERVER", "spec.local.primary", "SERVER", "spec.remote.backups[]", "SERVER", "spec.remote.primary", "SERVER",
			"spec.local.", "SIDE.", "spec.remote.", "SIDE.", "spec.localToRemote[]", "RULE", "spec.remoteToLocal[]", "RULE").Replace(got[i])
	}
	slices.Sort(got)
	text := strings.Join(slices.Compact(got), "\n") + "\n"
	list := filepath.Join("testdata", "unmasked.txt")
	if *update {
		if err := os.WriteFile(list, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	if text != string(want) {
		t.Errorf("%s differs; decide for each new field whether it may hold a secret, and then run `go test -update`:\n%s", list, text)
	}
	for _, field := range []string{"username.value", "headers[].value", "env[].value", "userProperties[].value", "podAnnotations[*]", "podLabels[*]"} {
		if strings.Contains(text, field+"\n") {
			t.Errorf("%s is not masked", field)
		}
	}
}

// places are YAML objects with a secret.
var places = map[string]string{
	"annotation":              `metadata: {annotations: {example.com/token: SECRET}}`,
	"applied manifest":        `metadata: {annotations: {kubectl.kubernetes.io/last-applied-configuration: '{"spec":{"url":"mqtt://u:SECRET@h.example"}}'}}`,
	"annotation of our own":   `metadata: {annotations: {mqttbridge.io/hand-over: SECRET}}`,
	"label":                   `metadata: {labels: {token: SECRET}}`,
	"managed fields":          `metadata: {managedFields: [{fieldsV1: {"v:SECRET": {}}}]}`,
	"query of a URL":          `spec: {remote: {primary: {url: "wss://h.example/mqtt?token=SECRET"}}}`,
	"password of a URL":       `spec: {remote: {primary: {url: "mqtt://user:SECRET@h.example"}}}`,
	"user of a URL":           `spec: {remote: {proxy: {url: "http://SECRET@h.example:8080"}}}`,
	"URL of the collector":    `spec: {tracing: {endpoint: "https://user:SECRET@h.example:4318"}}`,
	"header":                  `spec: {remote: {webSocket: {headers: [{name: x-api-key, value: SECRET}]}}}`,
	"user name":               `spec: {remote: {credentials: {username: {value: SECRET}}}}`,
	"user property":           `spec: {localToRemote: [{userProperties: [{name: token, value: SECRET}]}]}`,
	"environment":             `spec: {runner: {env: [{name: TOKEN, value: SECRET}]}}`,
	"environment of a pod":    `spec: {containers: [{name: bridge-runner, env: [{name: TOKEN, value: SECRET}]}]}`,
	"init container":          `spec: {initContainers: [{name: vault, args: [--token, SECRET]}]}`,
	"container of a webhook":  `spec: {containers: [{name: sidecar, command: [sh, -c, "login SECRET"]}]}`,
	"command of a probe":      `spec: {containers: [{name: bridge-runner, livenessProbe: {exec: {command: [check, SECRET]}}}]}`,
	"header of a probe":       `spec: {containers: [{name: sidecar, livenessProbe: {httpGet: {httpHeaders: [{name: a, value: SECRET}]}}}]}`,
	"pod annotations":         `spec: {runner: {podAnnotations: {vault: SECRET}}}`,
	"pod labels":              `spec: {runner: {podLabels: {vault: SECRET}}}`,
	"template annotations":    `spec: {template: {metadata: {annotations: {vault: SECRET}}}}`,
	"data of a ConfigMap":     `data: {other: SECRET}`,
	"manifest in a ConfigMap": `data: {bridge.yaml: "spec: {remote: {credentials: {username: {value: SECRET}}}}"}`,
	"manifest that is broken": `data: {bridge.yaml: "spec: {SECRET"}`,
	"data of a Secret":        `data: {password: U0VDUkVU, token: SECRET}`,
	"text data of a Secret":   `stringData: {password: SECRET}`,
	"volume of a driver":      `spec: {volumes: [{csi: {volumeAttributes: {token: SECRET}}}]}`,
	"several lines":           `spec: {runner: {env: [{name: A, value: "first\nSECRET\nlast"}]}}`,
}

func maskedYAML(t *testing.T, m *Masker, text string) string {
	t.Helper()
	var object map[string]any
	if err := yaml.Unmarshal([]byte(text), &object); err != nil {
		t.Fatal(err)
	}
	m.Object(object)
	out, err := m.YAML(object)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMasker_SecretInAnObject_IsRemovedAndLearned(t *testing.T) {
	for place, text := range places {
		const secret = "s3cr3t/+&\"value"
		var object map[string]any
		if err := yaml.Unmarshal([]byte(strings.ReplaceAll(text, "SECRET", "PLACEHOLDER")), &object); err != nil {
			t.Fatalf("%s: %v", place, err)
		}
		quoted, _ := json.Marshal(secret)
		data, _ := json.Marshal(object)
		// A secret in a text of JSON or YAML inside a string is escaped again, so that a simple one is
		// used there.
		value, inside := secret, strings.Contains(place, "manifest") || strings.Contains(place, "URL")
		if inside {
			value, quoted = "s3cr3t-value", []byte(`"s3cr3t-value"`)
		}
		withSecret := strings.ReplaceAll(string(data), "PLACEHOLDER", strings.Trim(string(quoted), `"`))
		m := NewMasker()
		got := maskedYAML(t, m, withSecret)
		if strings.Contains(got, "s3cr3t") {
			t.Errorf("%s: the secret remains:\n%s", place, got)
		}
		if strings.Contains(place, "data") || strings.Contains(place, "managed") || strings.Contains(place, "broken") || strings.Contains(place, "command") || strings.Contains(place, "webhook") {
			continue // removed as a whole; other places have the value, or no text repeats it
		}
		for _, form := range []string{value, url.QueryEscape(value), strings.Trim(string(quoted), `"`), base64.StdEncoding.EncodeToString([]byte(value))} {
			if log := m.Text("before " + form + " after"); strings.Contains(log, form) || !strings.HasPrefix(log, "before ") || !strings.HasSuffix(log, " after") {
				t.Errorf("%s: the log has %q: %s", place, form, log)
			}
		}
	}
}

func TestMasker_TextsThatLookLikeSecrets_AreRemoved(t *testing.T) {
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
	for _, text := range []string{
		`dial mqtt://plant:hunter22@h.example:1883: refused`,
		`GET wss://h.example/mqtt?sig=hunter22&x=1 failed`,
		`level=WARN msg="login failed" password=hunter22`,
		`level=WARN msg="login failed" password="hunter22 with spaces"`,
		`{"password":"hunter22","user":"u"}`,
		`{\"password\":\"hunter22\"}`,
		`Password: hunter22`, `passwd='hunter22'`, `api_key=hunter22`, `X-Api-Key: hunter22`, `client_secret=hunter22;`, `token: hunter22`,
		`Authorization: Bearer hunter22`, `authorization="Basic hunter22=="`, `sent Bearer hunter22hunter22`,
		`Authorization: ApiKey hunter22`, `Proxy-Authorization: Digest username="u", response=hunter22`, `Cookie: lang=en; session=hunter22`, `Set-Cookie: sid=hunter22; Path=/`,
		`map[Authorization:[Custom hunter22]]`, `"Authorization: Custom a hunter22"`,
		`X-Amz-Signature=hunter22`, `aws_secret_access_key = hunter22`,
		"-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----", `key "-----BEGIN RSA PRIVATE KEY-----\nhunter22\n-----END RSA PRIVATE KEY-----\n"`,
		"-----BEGIN EC PRIVATE KEY-----\nhunter22",
		`token ` + jwt,
	} {
		if got := NewMasker().Text(text); strings.Contains(got, "hunter22") || strings.Contains(got, jwt[30:]) {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}

// A bundle must remain useful.
func TestMasker_OrdinaryTexts_Remain(t *testing.T) {
	for _, text := range []string{
		`time=2026-03-01T12:00:00Z level=INFO msg="connected" side=remote server=cloud-a url=mqtts://cloud-a.example:8883 session_present=true`,
		`mqttbridge_messages_forwarded_total{direction="localToRemote"} 18`,
		"password:\n  secretKeyRef:\n    key: password\n    name: cloud-login\n",
		`the server refuses the user name or the password; correct the Secret cloud-login`,
		`apiVersion: rbac.authorization.k8s.io/v1`, `level=WARN msg="no authorization" server=cloud-a`,
		`--allowed-secrets=mqtt-*`, `secretName: plant-keys`,
	} {
		if got := NewMasker().Text(text); got != text {
			t.Errorf("%s becomes %s", text, got)
		}
	}
	m := NewMasker("plant-1")
	m.Object(map[string]any{"value": "plant-1"})
	if got := m.Text("bridge plant-1 runs"); got != "bridge plant-1 runs" {
		t.Errorf("a name of a bridge that is also a user name is masked: %s", got)
	}
}

// YAML breaks long lines, doubles quotes, and escapes characters.
func TestBundle_SecretInAMessage_IsRemovedInEachStyleOfYAML(t *testing.T) {
	for _, secret := range []string{"correct horse battery staple", `it's a "quoted" one`, "tab\tand  spaces", "ends with #", `C:\path\ to me`} {
		for n := range 120 {
			filler := strings.Repeat("a ", n/2) + strings.Repeat("b", n%2)
			for _, before := range []string{"", ": '", "\x01", "\n"} {
				status := map[string]any{"status": map[string]any{"message": filler + before + secret + " is wrong"}}
				manifest, err := yaml.Marshal(status)
				if err != nil {
					t.Fatal(err)
				}
				b := &Bundle{}
				b.addObject("1", status)
				b.addObject("2", map[string]any{"data": map[string]any{"bridge.yaml": string(manifest)}})
				b.addObject("3", map[string]any{"value": secret})
				files, err := b.masked()
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files[:2] {
					if !strings.Contains(f.content, mask) {
						t.Fatalf("%q remains:\n%s", secret, f.content)
					}
				}
			}
		}
	}
}

// A text may repeat a part of a value: the credentials of a header, or one of several pairs.
func TestMasker_PartsOfAValue_AreRemovedFromTexts(t *testing.T) {
	for value, parts := range map[string][]string{
		"Bearer s3cr3t-t0ken":                           {"s3cr3t-t0ken"},
		"Basic dXNlcjpodW50ZXIyMg==":                    {"dXNlcjpodW50ZXIyMg==", "user:hunter22", "hunter22"},
		"ApiKey s3cr3t-t0ken":                           {"s3cr3t-t0ken"},
		"authorization=Bearer%20s3cr3t-t0ken,a=b":       {"s3cr3t-t0ken"},
		"SharedAccessSignature sr=x&sig=c2ln%2Fbmvk%3D": {"c2ln%2Fbmvk%3D", "c2ln/bmvk="},
		"http://user:hunter22@proxy.example:3128":       {"user:hunter22", "hunter22"},
	} {
		m := NewMasker()
		m.Object(map[string]any{"value": value})
		for _, part := range parts {
			if got := m.Text("before " + part + " after"); got != "before "+mask+" after" {
				t.Errorf("%s: %s becomes %s", value, part, got)
			}
		}
	}
}

func TestMasker_PasswordWithBracketsInAURL_IsRemoved(t *testing.T) {
	for _, password := range []string{"hunter(22", "hunter<22", "hunter{22}", "hunter'22", "hunter`22", "hunter@22", "hunter?22", "hunter#22", "hunter%22"} {
		got := NewMasker().Text("dial mqtt://plant:" + password + "@h.example:1883 failed")
		if strings.Contains(got, "hunter") || strings.Contains(got, "22@") || !strings.HasSuffix(got, " failed") {
			t.Errorf("%s: %s", password, got)
		}
	}
}

// The hash of a spec without its secret permits to try out short secrets.
func TestMasker_HashesOfValues_AreRemoved(t *testing.T) {
	m := NewMasker()
	got := maskedYAML(t, m, `{metadata: {annotations: {mqttbridge.io/pod-spec-hash: 0123456789abcdef, mqttbridge.io/template-hash: 1123456789abcdef, mqttbridge.io/spec-hash: 2123456789abcdef}}}`)
	if strings.Contains(got, "123456789abcdef") || strings.Contains(m.Text("template 1123456789abcdef"), "1123456789abcdef") {
		t.Errorf("the bundle has a hash:\n%s", got)
	}
}
