// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

const (
	five = "protocolVersion: '5', "
	// nowhere is the URL of a server that does not exist.
	nowhere = "mqtt://127.0.0.1:1"
)

// bridge returns a manifest. local and remote are the settings of the sides.
func bridge(local, remote string) string {
	return fmt.Sprintf(`apiVersion: mqttbridge.io/v1alpha1
kind: MQTTBridge
metadata: {name: plant-to-cloud, namespace: plant}
spec:
  local: {%s}
  remote: {%s}
  localToRemote: [{filter: "up/#", qos: 2}]
  remoteToLocal: [{filter: "down/#"}, {filter: "more/#"}]
`, local, remote)
}

func primary(url string) string { return fmt.Sprintf("primary: {name: primary, url: %q}", url) }

func run(t *testing.T, o Options, texts ...string) *Report {
	t.Helper()
	var r Report
	for _, text := range texts {
		r.Add(t.Context(), "b.yaml", []byte(text), o)
	}
	return &r
}

// render returns the report as text.
func render(t *testing.T, r *Report) string {
	t.Helper()
	var out bytes.Buffer
	if err := r.WriteText(&out, time.Now()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestReport_Files_ResultIsTheWorst(t *testing.T) {
	valid := bridge(primary(nowhere), primary("mqtt://127.0.0.1:2"))
	invalid := strings.Replace(valid, "qos: 2", "qos: 3, retian: Keep", 1)
	secret := "apiVersion: v1\nkind: Secret\n"
	for _, c := range []struct {
		name   string
		o      Options
		texts  []string
		result Result
		want   []string
	}{
		{"valid", Options{}, []string{valid}, Good, []string{"b.yaml:1: the manifest of plant/plant-to-cloud is valid\n"}},
		{"with a Secret", Options{}, []string{secret + "---\n" + valid}, Good, []string{"b.yaml:4: the manifest"}},
		{"two in a file", Options{}, []string{valid + "---\n" + invalid}, Invalid, []string{"b.yaml:1: the manifest of", `b.yaml:16: spec.localToRemote[0].qos: Unsupported value: 3`, "b.yaml:16: spec.localToRemote[0].retian: Forbidden: the API has no such field"}},
		{"no bridge", Options{}, []string{secret + "---\n" + secret}, Invalid, []string{"b.yaml: the file has no MQTTBridge"}},
		{"another kind", Options{}, []string{secret}, Invalid, []string{"b.yaml: the file has no MQTTBridge: it has only objects of other APIs: Secret (v1); name"}},
		{"not YAML", Options{}, []string{valid + "---\na: [\n"}, Invalid, []string{"b.yaml:10: yaml: line 10: did not find"}},
		{"keys that are there twice", Options{}, []string{strings.Replace(valid, "qos: 2", "qos: 2, qos: 2, filter: b", 1)}, Invalid, []string{`b.yaml:7: yaml: unmarshal errors: line 7: key "qos" already set in map; line 7: key "filter" already set in map` + "\n"}},
		{"no server", Options{Connect: true}, []string{valid}, ServerUnusable, []string{"local server primary (mqtt://127.0.0.1:1): not usable", "ConnectionRefused: connection refused"}},
		{"invalid and no server", Options{Connect: true}, []string{valid, invalid}, Invalid, []string{"ConnectionRefused", "Unsupported value: 3"}},
	} {
		r := run(t, c.o, c.texts...)
		got := render(t, r)
		if r.Result != c.result {
			t.Errorf("%s: %s, want %s", c.name, r.Result, c.result)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s:\n%s\nwant %s", c.name, got, want)
			}
		}
	}
}

func TestSecrets_WithoutConnect_AreChecked(t *testing.T) {
	text := bridge(primary(nowhere)+", credentials: {username: {value: u}, password: {secretKeyRef: {name: login}}}", primary("mqtt://127.0.0.1:2"))
	dir := t.TempDir()
	r := run(t, Options{Secrets: dir}, text)
	if s := r.Bridges[0].Servers; r.Result != ServerUnusable || s[0].Reason != v1alpha1.ReasonReferenceMissing || !strings.Contains(s[0].Message, `"login"`) || !s[1].Usable {
		t.Errorf("%s", render(t, r))
	}
	if err := os.MkdirAll(filepath.Join(dir, "login"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "login", "password"), []byte("p"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r = run(t, Options{Secrets: dir}, text); r.Result != Good {
		t.Errorf("%s", render(t, r))
	}
}

func TestConnect_TLSAndLogin_ReportsFacts(t *testing.T) {
	pki := mqtttest.NewPKI(t)
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "remote", TLS: pki.Server(), Users: map[string]string{"u": "secret"}})
	dir := t.TempDir()
	write := func(path, value string) {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("configMaps/ca/ca.crt", string(pki.CA))
	write("login/password", "secret")
	text := bridge(five+primary(local.URL()), five+primary(remote.URL())+", tls: {ca: {configMapKeyRef: {name: ca}}}, credentials: {username: {value: u}, password: {secretKeyRef: {name: login}}}")
	r := run(t, Options{Secrets: dir, Connect: true, Publish: "check/here"}, text)
	if r.Result != Good {
		t.Fatal(render(t, r))
	}
	plain, secure := r.Bridges[0].Servers[0], r.Bridges[0].Servers[1]
	if plain.Address != local.Address() || plain.TLS != nil || plain.Connack == nil || plain.Connack.Limits == nil || plain.Connack.Limits.MaximumQoS != 2 ||
		plain.Publish == nil || !plain.Publish.Acknowledged || plain.ClientID == secure.ClientID || len(plain.ClientID) != 23 {
		t.Errorf("%+v", plain)
	}
	if secure.TLS == nil || secure.TLS.Version != "TLS 1.3" || !strings.Contains(secure.TLS.Subject, "localhost") || secure.TLS.Issuer == "" || time.Until(secure.TLS.Expires) <= 0 || secure.ProtocolVersion != "5" {
		t.Errorf("%+v, %+v", secure, secure.TLS)
	}
	for _, want := range []string{"  TLS        1.3", "  issuer ", "receive maximum", `published  on "check/here", acknowledged`} {
		if got := render(t, r); !strings.Contains(got, want) {
			t.Errorf("%s\nwant %s", got, want)
		}
	}

	write("login/password", "wrong")
	r = run(t, Options{Secrets: dir, Connect: true}, text)
	secure = r.Bridges[0].Servers[1]
	if r.Result != ServerUnusable || secure.Usable || secure.Reason != v1alpha1.ReasonAuthenticationFailed || secure.TLS == nil || secure.Connack == nil || secure.Connack.Code == 0 {
		t.Errorf("%s", render(t, r))
	}
	if strings.Contains(render(t, r), "wrong") {
		t.Error("the report shows the password")
	}
}

func TestConnect_MQTT311_SaysThatLimitsAreNotAnnounced(t *testing.T) {
	broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{})
	r := run(t, Options{Connect: true}, bridge(primary(broker.URL()), primary(nowhere)))
	s := r.Bridges[0].Servers[0]
	if !s.Usable || s.Connack == nil || s.Connack.Limits != nil || s.ProtocolVersion != "3.1.1" || !strings.Contains(render(t, r), "does not announce limits") {
		t.Errorf("%s", render(t, r))
	}
}

// scripted checks a bridge whose remote server answers as serve does.
func scripted(t *testing.T, o Options, serve func(c *script.Conn)) Server {
	t.Helper()
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	remote := script.Listen(t, 5)
	done := make(chan *Report)
	o.Connect = true
	go func() {
		var r Report
		r.Add(t.Context(), "b.yaml", []byte(bridge(five+primary(local.URL()), five+primary("mqtt://"+remote.Addr()))), o)
		done <- &r
	}()
	serve(remote.Accept())
	return (<-done).Bridges[0].Servers[1]
}

func TestConnect_ServerOfFewFeatures_ReportsThem(t *testing.T) {
	s := scripted(t, Options{ClientID: "known"}, func(c *script.Conn) {
		if got := c.Next().Connect; got.ClientID != "known" || !got.CleanStart {
			t.Errorf("sent %s", got)
		}
		zero := byte(0)
		c.Send(script.Connack(false, &v5.Properties{WildcardSubAvailable: &zero, SubIDAvailable: &zero, RetainAvailable: &zero, MaximumQOS: new(byte(1)), ServerKeepAlive: new(uint16(5)), MaximumPacketSize: new(uint32(1000))}))
		c.Want("PINGREQ")
		c.Send(script.Packet{Type: v5.PINGRESP})
		c.WantEnd("DISCONNECT")
	})
	if s.Usable || s.Reason != v1alpha1.ReasonSubscriptionRefused || !strings.Contains(s.Message, `"down/#"`) {
		t.Errorf("%s: %s", s.Reason, s.Message)
	}
	remarks := strings.Join(s.Remarks, "\n")
	for _, want := range []string{"retained messages", "at QoS 1 at most", "subscription identifiers", "keepAliveSeconds: 10"} {
		if !strings.Contains(remarks, want) {
			t.Errorf("remarks %s\nwant %s", remarks, want)
		}
	}
	if l := s.Connack.Limits; l.MaximumPacketSize != 1000 || *l.ServerKeepAliveSeconds != 5 || l.WildcardSubscriptionAvailable {
		t.Errorf("%+v", l)
	}
}

func TestPublish_ServerRefuses_IsReported(t *testing.T) {
	s := scripted(t, Options{Publish: "down/x"}, func(c *script.Conn) {
		c.Next()
		c.Send(script.Connack(false, nil))
		c.Want("PINGREQ")
		c.Send(script.Packet{Type: v5.PINGRESP})
		c.Want("PUBLISH 1 qos1 down/x=bridge-runner check")
		c.Send(script.Ack(v5.PUBACK, 1, 0x87))
		c.WantEnd("DISCONNECT")
	})
	if s.Usable || s.Reason != v1alpha1.ReasonPublishRefused || s.Publish == nil || s.Publish.Acknowledged || s.Publish.Code != 0x87 {
		t.Errorf("%+v", s)
	}
	if !slices.ContainsFunc(s.Remarks, func(r string) bool { return strings.Contains(r, `the rule "down/#" forwards the published message`) }) {
		t.Errorf("%q", s.Remarks)
	}
}

func TestPublish_ServerEndsConnection_NamesTopic(t *testing.T) {
	s := scripted(t, Options{Publish: "x"}, func(c *script.Conn) {
		c.Next()
		c.Send(script.Connack(false, nil))
		c.Want("PINGREQ")
		c.Send(script.Packet{Type: v5.PINGRESP})
		c.Want("PUBLISH 1 qos1 x=bridge-runner check")
		_ = c.Close()
	})
	if s.Usable || s.Reason != v1alpha1.ReasonConnectionClosed || !strings.HasPrefix(s.Message, `after a message on "x"`) || s.Publish == nil || s.Publish.Acknowledged {
		t.Errorf("%+v", s)
	}
}

func TestConnect_ClientIDOfBridge_DoesNotConnect(t *testing.T) {
	for _, field := range []string{", clientID: known", ", failover: {probe: {clientID: known}}"} {
		broker := mqtttest.StartBroker(t, mqtttest.BrokerOptions{})
		link := mqtttest.StartProxy(t, broker.Address(), 0)
		r := run(t, Options{Connect: true, ClientID: "known"}, bridge(primary(link.URL())+field, primary(nowhere)))
		s := r.Bridges[0].Servers
		if s[0].Usable || s[0].Reason != v1alpha1.ReasonClientIDShared || !strings.Contains(s[0].Message, `"known"`) || link.Accepted() != 0 {
			t.Errorf("%s: %d connections: %s", field, link.Accepted(), render(t, r))
		}
		if s[1].Reason != v1alpha1.ReasonConnectionRefused { // the other side has other identifiers
			t.Errorf("%+v", s[1])
		}
	}
}
