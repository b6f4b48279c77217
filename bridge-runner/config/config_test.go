// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

const minimal = `
apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: b, namespace: plant}
spec:
  local: {primary: {url: "mqtt://local:1883"}}
  remote: {primary: {url: "mqtt://remote:1883"}}
  localToRemote: [{filter: "a/#"}]
`

func write(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad_MinimalManifest_ResolvesDefaults(t *testing.T) {
	b, err := Load(write(t, t.TempDir(), "b.yaml", minimal))
	if err != nil {
		t.Fatal(err)
	}
	r := b.Spec.Remote
	if r.Primary.Name != "remote" || *r.KeepAliveSeconds != 10 || *r.Failover.AckTimeoutSeconds != 10 ||
		b.Spec.Delivery.InflightWindow != nil || b.Spec.Buffer.Memory.Size.String() != "8Mi" || r.MaximumPacketSize.String() != "32Mi" || *b.Spec.Buffer.QoS0WhenDown != v1alpha1.QoS0WhenDownDrop || r.SessionExpiry != v1alpha1.SessionExpiryNever || b.Spec.LocalToRemote[0].Topic != "${topic}" || *b.Spec.LocalToRemote[0].QoS != 1 {
		t.Errorf("defaults: %+v", b.Spec)
	}
	if id := r.ClientID; id == "" || len(id) > 23 || id == b.Spec.Local.ClientID {
		t.Errorf("client identifiers %q and %q", id, b.Spec.Local.ClientID)
	}
	if errs := manifest.Validate(b.MQTTBridge); len(errs) > 0 {
		t.Errorf("a manifest with its defaults is refused: %v", errs)
	}
}

// A file without a bridge gives one error, and not an error for each field that is missing.
func TestLoad_FileWithoutBridge_NamesItsContent(t *testing.T) {
	const other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	for text, want := range map[string]string{
		"":                        "the file has no MQTTBridge: it is empty; name a file with a manifest of kind MQTTBridge",
		"# only a comment\n---\n": "the file has no MQTTBridge: it is empty",
		other:                     "the file has no MQTTBridge: it has only objects of other APIs: ConfigMap (v1); name",
		other + "---\napiVersion: v1\nkind: Secret\n---\n" + other: "the file has no MQTTBridge: it has only objects of other APIs: ConfigMap (v1), Secret (v1); name",
		"connection a\naddress b\n":                                "this is text and no MQTTBridge; name a file with a manifest of kind MQTTBridge (bridge-runner import reads the configurations of other brokers)",
		"- a\n":                                                    "this is a list and no MQTTBridge; name a file",
		"5\n":                                                      "this is a number and no MQTTBridge; name a file",
		"{}\n":                                                     "this object has neither apiVersion nor kind; begin an MQTTBridge with apiVersion: mqttbridge.io/v1alpha1 and kind: MQTTBridge",
		"spec: {local: {primary: {url: a}}}":                       "this object has neither apiVersion nor kind; begin",
	} {
		path := write(t, t.TempDir(), "b.yaml", text)
		_, err := Load(path)
		if want = path + ": " + want; err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "spec.local") {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
		if refused := (*RefusedError)(nil); errors.As(err, &refused) {
			t.Errorf("%q is a manifest that is refused: %v", text, err)
		}
	}
}

// The import writes Secrets and the manifest into one file for kubectl.
func TestLoad_BridgeBesideOtherObjects_IsRead(t *testing.T) {
	const secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n---\n"
	b, err := Load(write(t, t.TempDir(), "b.yaml", secret+minimal))
	if err != nil || b.Name != "b" {
		t.Errorf("%+v, %v", b, err)
	}
	path := write(t, t.TempDir(), "b.yaml", minimal+"---\n"+minimal)
	const want = ": the file has 2 MQTTBridges, in the lines 1 and "
	if _, err := Load(path); err == nil || !strings.HasPrefix(err.Error(), path+want) || !strings.HasSuffix(err.Error(), "; write each one into a file of its own, and use --bridges DIRECTORY") {
		t.Errorf("two bridges: %v", err)
	}
}

func TestLoad_Directory_NamesTheFlagForDirectories(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); err == nil || !strings.HasPrefix(err.Error(), "the manifest "+dir+" is a directory; ") || !strings.Contains(err.Error(), "--bridges DIRECTORY") {
		t.Errorf("%v", err)
	}
}

func TestLoad_InvalidManifest_NamesFieldValueAndRemedy(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"unknown field", "localToRemote:", "forward:", `unknown field "spec.forward"`},
		{"kind", "MQTTBridge", "Bridge", "kind: Unsupported value: \"Bridge\""},
		{"no name", "name: b, ", "", "metadata.name: Required"},
		{"long name", "name: b,", "name: " + strings.Repeat("b", 53) + ",", "choose a shorter name"},
		{"upper-case name", "name: b,", "name: Plant_1,", `metadata.name: Invalid value: "Plant_1": a lowercase RFC 1123 subdomain must consist of`},
		{"upper-case namespace", "namespace: plant", "namespace: Plant", `metadata.namespace: Invalid value: "Plant": a lowercase RFC 1123 label must consist of`},
		{"no rules", `localToRemote: [{filter: "a/#"}]`, "", "at least one entry in localToRemote"},
		{"scheme", "mqtt://remote", "http://remote", `spec.remote.primary.url: Invalid value: "http://remote:1883": a server's URL must start with`},
		{"port", "remote:1883", "remote:99999", "from 1 to 65535"},
		{"path", "remote:1883", "remote:1883/mqtt", "without path"},
		{"fragment", "mqtt://remote:1883", "ws://remote/mqtt#part", "the URL of a WebSocket server must be"},
		{"port of a WebSocket", "mqtt://remote:1883", "wss://remote:0/mqtt", "from 1 to 65535"},
		{"TLS with plain WebSocket", `mqtt://remote:1883"}`, `ws://remote"}, tls: {}`, "write mqtts:// or wss://"},
		{"no proxy URL", `remote:1883"}`, `remote:1883"}, proxy: {}`, "spec.remote.proxy.url: Required"},
		{"proxy scheme", `remote:1883"}`, `remote:1883"}, proxy: {url: "https://p:1"}`, "spec.remote.proxy.url: Invalid value: \"https://p:1\": a proxy's URL must be"},
		{"proxy without port", `remote:1883"`, `remote:1883", proxy: {url: "http://p"}`, "spec.remote.primary.proxy.url"},
		{"proxy port", `remote:1883"}`, `remote:1883"}, proxy: {url: "http://p:65536"}`, "the port of a proxy's URL"},
		{"password in a proxy URL", `remote:1883"}`, `remote:1883"}, proxy: {url: "http://me:secret@p:1"}`, "set proxy.credentials.username"},
		{"reference of a proxy", `remote:1883"}`, `remote:1883"}, proxy: {url: "http://p:1", credentials: {username: {secretKeyRef: {name: "../x"}}}}`, "spec.remote.proxy.credentials.username.secretKeyRef.name"},
		{"empty ALPN protocol", `mqtt://remote:1883"}`, `mqtts://remote:1883"}, tls: {alpn: [""]}`, "spec.remote.tls.alpn[0]"},
		{"password in the URL", "mqtt://remote", "mqtt://me:secret@remote", "set credentials.username"},
		{"same URL twice", "mqtt://remote", "mqtt://local", "local and remote have a server with the same URL"},
		{"filter", "a/#", "a/#/b", `spec.localToRemote[0].filter: Invalid value: "a/#/b"`},
		{"shared", "a/#", "$share/g/a", "shared subscriptions"},
		{"capture", `"a/#"}`, `"a/#", topic: "${2}"}`, "spec.localToRemote[0].topic"},
		{"qos", `"a/#"}`, `"a/#", qos: 3}`, "spec.localToRemote[0].qos"},
		{"retain", `"a/#"}`, `"a/#", retain: Maybe}`, "spec.localToRemote[0].retain"},
		{"exclude", `"a/#"}`, `"a/#", exclude: ["#/a"]}`, "spec.localToRemote[0].exclude"},
		{"tls without a TLS URL", `remote:1883"}`, `remote:1883"}, tls: {}`, "write mqtts://"},
		{"keep alive", `remote:1883"}`, `remote:1883"}, keepAliveSeconds: 0`, "must be from 1 to 65535"},
		{"retry", `remote:1883"}`, `remote:1883"}, failover: {retry: {initialMilliseconds: 5000, maxSeconds: 1}}`, "must not exceed maxSeconds"},
		{"server name twice", `remote:1883"}`, `remote:1883", name: a}, backups: [{url: "mqtt://b", name: a}]`, "two servers of this side have the same name"},
		{"one server under two URLs", `remote:1883"}`, `remote:1883"}, backups: [{url: "tcp://REMOTE"}]`, "two servers of this side have the same URL"},
		{"rule twice", `{filter: "a/#"}`, `{filter: "a/#"}, {filter: "a/#", topic: "${topic}"}`, "spec.localToRemote[1]: Duplicate value"},
		{"rule name twice", `{filter: "a/#"}`, `{filter: "a/#"}, {filter: "a/#", topic: "x/${topic}"}`, "spec.localToRemote[1].name: Invalid value: \"a/#\": two rules of this direction have the same name"},
		{"reference", `remote:1883"}`, `remote:1883"}, credentials: {username: {secretKeyRef: {name: "../x"}}}`, "spec.remote.credentials.username.secretKeyRef.name"},
		{"version", `remote:1883"}`, `remote:1883"}, protocolVersion: "4"`, `spec.remote.protocolVersion: Unsupported value: "4": supported values: "3.1.1", "5"`},
		{"a password that is not in a Secret", `remote:1883"}`, `remote:1883"}, credentials: {username: {value: me}, password: {value: "secret@"}}`, `unknown field "spec.remote.credentials.password.value"`},
		{"a label selector", `mqtt://remote:1883"}`, `mqtts://remote:1883"}, tls: {ca: {clusterTrustBundle: {signerName: a.b/c, labelSelector: {matchExpressions: [{key: a, operator: Like}]}}}}`, "spec.remote.tls.ca.clusterTrustBundle.labelSelector.matchExpressions[0].operator: Invalid value: \"Like\""},
		{"no session expiry", `remote:1883"}`, `remote:1883"}, sessionExpiry: 0s`, "spec.remote.sessionExpiry: Invalid value: \"0s\": sessionExpiry must be Never"},
		{"a session expiry without a unit", `remote:1883"}`, `remote:1883"}, sessionExpiry: "60"`, "spec.remote.sessionExpiry: Invalid value: \"60\": sessionExpiry must be Never"},
		{"maximum packet size", `remote:1883"}`, `remote:1883"}, maximumPacketSize: 1023`, "spec.remote.maximumPacketSize: Invalid value: \"1023\": maximumPacketSize must be from 1Ki to 268435460, as in 32Mi"},
		{"session expiry beyond four bytes", `remote:1883"}`, `remote:1883"}, sessionExpiry: 4294967295s`, "spec.remote.sessionExpiry: Invalid value: \"4294967295s\": sessionExpiry must be Never, or a time from 1s to 1193046h28m14s"},
		{"user property without a name", `"a/#"}`, `"a/#", userProperties: [{value: x}]}`, "spec.localToRemote[0].userProperties[0].name: Required"},
		{"no hops", "localToRemote:", "delivery: {maxHops: 0}\n  localToRemote:", "spec.delivery.maxHops: Invalid value: 0: must be from 1 to 255"},
		{"a disk without a size", "localToRemote:", "buffer: {disk: {}}\n  localToRemote:", "spec.buffer.disk.size: Required"},
		{"a disk that is too small", "localToRemote:", "buffer: {disk: {size: 1Mi}}\n  localToRemote:", "spec.buffer.disk.size: Invalid value: \"1Mi\": the size of the buffer on disk must be from 16Mi"},
		{"a message TTL of 0", "localToRemote:", "buffer: {disk: {size: 1Gi, messageTTLSeconds: 0}}\n  localToRemote:", "spec.buffer.disk.messageTTLSeconds: Invalid value: 0: must be from 1 to 31536000"},
		{"drain without a buffer", "localToRemote:", "buffer: {drain: {messagesPerSecond: 1}}\n  localToRemote:", "spec.buffer.drain: Invalid value"},
		{"notifications without a topic", "localToRemote:", "notifications: {}\n  localToRemote:", "spec.notifications.topic: Required"},
		{"preferred server without a name", `remote:1883"}`, `remote:1883"}, preferredServer: {force: true}`, "spec.remote.preferredServer.name: Required value: preferredServer needs the name of a server of this side"},
		{"unknown preferred server", `remote:1883"}`, `remote:1883"}, backups: [{url: "mqtt://b"}, {url: "mqtts://b", name: dr}], preferredServer: {name: "b:1883"}`, "spec.remote.preferredServer.name: Invalid value: \"b:1883\": no server of this side has this name; set name to one of its servers (remote, b, dr), or remove preferredServer"},
		{"preferred server of the other side", `remote:1883"}`, `remote:1883"}, preferredServer: {name: local}`, "set name to one of its servers (remote)"},
		{"loop", "", "", ""},
	} {
		text := strings.Replace(minimal, c.old, c.new, 1)
		if c.name == "loop" {
			text = strings.Replace(minimal, `local:1883"}`, `local:1883"}, bridgeMode: "Off"`, 1) + "  remoteToLocal: [{filter: a/b}]\n"
			c.want = `spec.remoteToLocal: Invalid value: "a/b": messages would circulate in a loop: remoteToLocal[0] (filter "a/b") publishes "a/b" as "a/b", localToRemote[0] (filter "a/#") publishes "a/b" as "a/b", because the servers of local use MQTT 3.1.1 and bridgeMode: Off and send the bridge's own messages back`
		}
		_, err := Load(write(t, t.TempDir(), "b.yaml", text))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant: %s", c.name, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: the error shows a password", c.name)
		}
	}
}

// secretKey returns a reference to a key of a Secret that the field at a path names.
func secretKey(name, key, path string) manifest.Reference {
	return manifest.Reference{Kind: manifest.KindSecret, Name: name, Key: key, Field: path}
}

// caRef is the reference to the authorities in the ConfigMap ca.
var caRef = manifest.Reference{Kind: manifest.KindConfigMap, Name: "ca", Key: "ca.crt", Field: "spec.remote.tls.ca.configMapKeyRef"}

// secretLogin returns a login with both values in the Secret login.
func secretLogin() *Login {
	return &Login{UsernameFrom: secretKey("login", "username", "user field"), Password: secretKey("login", "password", "password field")}
}

// ofOperator is a manifest that the operator has made, with a version of the protocol.
func ofOperator(version string) string {
	return strings.Replace(minimal, "namespace: plant}", `namespace: plant, annotations: {mqttbridge.io/manifest-version: "`+version+`"}}`, 1)
}

func TestLoad_ManifestOfANewerOperator_IgnoresUnknownFields(t *testing.T) {
	text := strings.NewReplacer(`remote:1883"}}`, `remote:1883", colour: red}, shade: {of: blue}}`).Replace(ofOperator("1"))
	path := write(t, t.TempDir(), "b.yaml", text)
	b, err := Load(path)
	if err != nil || b.Spec.Remote.Primary.URL != "mqtt://remote:1883" {
		t.Fatalf("%v: %+v", err, b)
	}
	if want := []string{"spec.remote.primary.colour", "spec.remote.shade"}; !slices.Equal(b.Ignored, want) {
		t.Errorf("ignored fields %q; want %q", b.Ignored, want)
	}
	if b, err := Load(write(t, t.TempDir(), "b.yaml", minimal)); err != nil || len(b.Ignored) > 0 {
		t.Errorf("ignored fields of a manifest without unknown fields: %+v (%v)", b, err)
	}
}

func TestLoad_ManifestVersion_IsCheckedBeforeTheFields(t *testing.T) {
	for _, c := range []struct{ version, want string }{
		{"1", ""},
		// A later version may give a field another type.
		{"2", `metadata.annotations[mqttbridge.io/manifest-version]: Invalid value: "2": this runner knows the versions up to 1`},
		{"0", "must be a whole number from 1"},
		{"one", "remove the annotation from a manifest that you have written"},
	} {
		text := ofOperator(c.version)
		if c.version != "1" {
			text = strings.Replace(text, `[{filter: "a/#"}]`, "all", 1)
		}
		_, err := Load(write(t, t.TempDir(), "b.yaml", text))
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("version %s: %v\nwant: %s", c.version, err, c.want)
		}
	}
}

func TestLoad_ManifestOfTheOperator_IsValidatedAsAnyOther(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{`filter: "a/#"`, "filter: 5", "spec.localToRemote[0].filter"},
		{`"a/#"}`, `"a/#", retain: Sometimes}`, "spec.localToRemote[0].retain: Unsupported value"},
	} {
		_, err := Load(write(t, t.TempDir(), "b.yaml", strings.Replace(ofOperator("1"), c.old, c.new, 1)))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v\nwant: %s", err, c.want)
		}
	}
}

func TestSecrets_MissingOrChanged_NamedOrReadAgain(t *testing.T) {
	dir := t.TempDir()
	s := NewSecrets(dir)
	_, _, err := s.login(secretLogin())
	var missing *ReferenceError
	if !errors.As(err, &missing) || err.Error() != `Secret "login" with key "username" is missing (user field); create it, and the bridge uses it without a restart` {
		t.Errorf("a missing Secret: %v", err)
	}
	write(t, dir, "login/username", "me\n")
	write(t, dir, "login/password", " pass word\r\n")
	if u, p, err := s.login(secretLogin()); u != "me" || p != " pass word" || err != nil {
		t.Errorf("%q, %q, %v", u, p, err)
	}
	write(t, dir, "login/password", "other")
	if _, p, _ := s.login(secretLogin()); p != "other" {
		t.Errorf("after a rotation: %q", p)
	}
	write(t, dir, "configMaps/ca/ca.crt", "no PEM")
	_, err = s.tls(&TLS{ServerName: "h", CA: caRef})
	if err == nil || err.Error() != `ConfigMap "ca", key "ca.crt" (spec.remote.tls.ca.configMapKeyRef): holds no certificate in PEM form; put the authority's certificate there` {
		t.Errorf("a bad CA: %v", err)
	}
}

// Without Kubernetes, the user creates files. In a pod, their paths are unknown to the user. A check reads the
// files while no bridge may run, or a bridge that reads other files.
func TestSecrets_MissingFileOfTheUser_IsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", "login/username", "me") // without a directory, no file is read
	write(t, ".", "plant/login/username", "me")
	const missing = `Secret "login" with key "username" is missing (user field); `
	for name, c := range map[string]struct {
		secrets Secrets
		want    string
	}{
		"one bridge":                       {NewSecrets("secrets").OfUser(), "create the file secrets/login/username, and the bridge uses it without a restart"},
		"one bridge without a directory":   {NewSecrets("").OfUser(), "create the file login/username in a directory, and name this directory by --secrets"},
		"many bridges":                     {NewSecrets("secrets").OfNamespace("plant").OfUser(), "create the file secrets/plant/login/username, and the bridge uses it without a restart"},
		"many bridges without a directory": {NewSecrets("").OfNamespace("plant").OfUser(), "create the file plant/login/username in a directory, and name this directory by --secrets"},
		"a check":                          {NewSecrets("secrets").OfCheck(), "create the file secrets/login/username"},
		"a check without a directory":      {NewSecrets("").OfCheck(), "create the file login/username in a directory, and name this directory by --secrets"},
	} {
		if _, _, err := c.secrets.login(secretLogin()); err == nil || err.Error() != missing+c.want {
			t.Errorf("%s: %v\nwant %s", name, err, missing+c.want)
		}
	}
}

// The user makes the files, so that an error about one names it. In a pod, its path is unknown to the user.
func TestSecrets_UnusableFileOfTheUser_IsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, ".", "folder/login/username/file", "a directory instead of a file")
	write(t, ".", "large/login/username", strings.Repeat("x", maxSecretBytes+1))
	const begin, tooLarge = `Secret "login", key "username" (user field): `, "has more than 1048576 bytes, the largest size in Kubernetes; shorten it"
	for name, c := range map[string]struct {
		secrets Secrets
		want    string
	}{
		"a directory":          {NewSecrets("folder").OfUser(), "the file folder/login/username: is a directory; make it a file that this process can read"},
		"a directory, a check": {NewSecrets("folder").OfCheck(), "the file folder/login/username: is a directory; make it a file that this process can read"},
		"a directory in a pod": {NewSecrets("folder"), "is a directory"},
		"too large":            {NewSecrets("large").OfUser(), "the file large/login/username " + tooLarge},
		"too large in a pod":   {NewSecrets("large"), tooLarge},
	} {
		if _, _, err := c.secrets.login(secretLogin()); err == nil || err.Error() != begin+c.want {
			t.Errorf("%s: %v\nwant %s", name, err, begin+c.want)
		}
	}
}

// The message of a missing file says that the bridge uses it without a restart: each attempt reads all files.
func TestSecrets_FileCreatedAfterAnAttempt_IsRead(t *testing.T) {
	dir := t.TempDir()
	ca := (*authority)(nil).issue(t, "one")
	ref := func(kind manifest.Kind, name, key string) manifest.Reference {
		return manifest.Reference{Kind: kind, Name: name, Key: key, Field: "field"}
	}
	settings := &TLS{
		ServerName: "h", CA: ref(manifest.KindConfigMap, "ca", "ca.crt"),
		Certificate: ref(manifest.KindSecret, "client", "tls.crt"), Key: ref(manifest.KindSecret, "client", "tls.key"),
	}
	for _, s := range []Secrets{NewSecrets(dir).OfUser(), NewSecrets(dir).OfNamespace("plant").OfUser()} {
		base := filepath.Join(dir, s.namespace)
		for _, file := range []struct{ path, content string }{
			{"configMaps/ca/ca.crt", ca.pem}, {"client/tls.crt", ca.pem}, {"client/tls.key", encode("PRIVATE KEY", pkcs8(t, ca.Key))},
		} {
			want := "create the file " + filepath.Join(base, file.path) + ", and the bridge uses it without a restart"
			if _, err := s.tls(settings); err == nil || !strings.HasSuffix(err.Error(), want) {
				t.Errorf("%v\nwant %s", err, want)
			}
			write(t, base, file.path, file.content)
		}
		if _, err := s.tls(settings); err != nil {
			t.Error(err)
		}
	}
}

func TestSecrets_ClusterTrustBundleMissingOrEmpty_IsNamed(t *testing.T) {
	const hint = " is missing, or the cluster does not support ClusterTrustBundleProjection (spec.local.tls.ca.clusterTrustBundle); create it, and the bridge uses it without a restart"
	labels := &metav1.LabelSelector{MatchLabels: map[string]string{"plant": "one"}}
	for _, c := range []struct {
		source     v1alpha1.ClusterTrustBundleSource
		path, want string
	}{
		{v1alpha1.ClusterTrustBundleSource{Name: "plant"}, "clusterTrustBundles/plant/ca.crt", `ClusterTrustBundle "plant"`},
		{v1alpha1.ClusterTrustBundleSource{SignerName: "example.com/ca"}, "clusterTrustBundles/example.com:ca/ca.crt", `ClusterTrustBundle of the signer "example.com/ca"`},
		{v1alpha1.ClusterTrustBundleSource{SignerName: "example.com/ca", LabelSelector: labels}, "clusterTrustBundles/example.com:ca/ca-4fafee2f.crt", `ClusterTrustBundle of the signer "example.com/ca" with the labels "plant=one"`},
	} {
		ref := manifest.CAReference(&v1alpha1.CASource{ClusterTrustBundle: &c.source}, field.NewPath("spec", "local", "tls", "ca"))
		if ref.Path() != c.path {
			t.Errorf("%s: the path is %s, want %s", c.want, ref.Path(), c.path)
		}
		dir := t.TempDir()
		for range 2 {
			if _, err := NewSecrets(dir).tls(&TLS{ServerName: "h", CA: ref}); err == nil || err.Error() != c.want+hint {
				t.Errorf("got  %v\nwant %s", err, c.want+hint)
			}
			write(t, dir, ref.Path(), "") // as the kubelet does if there is no bundle
		}
		write(t, dir, ref.Path(), (*authority)(nil).issue(t, "one").pem)
		if _, err := NewSecrets(dir).tls(&TLS{ServerName: "h", CA: ref}); err != nil {
			t.Error(err)
		}
	}
}
