// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"log/slog"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/failover"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/internal/window"
)

// resolve returns the settings of a manifest.
func resolve(t *testing.T, text string) *Settings {
	t.Helper()
	b, err := Load(write(t, t.TempDir(), "b.yaml", text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Resolve(&b.Spec)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// minimalSettings returns the settings of the minimal manifest, without its rules. spec has
// its client identifiers.
func minimalSettings(spec *v1alpha1.MQTTBridgeSpec) *Settings {
	side := func(server string, spec *v1alpha1.Side) Side {
		return Side{
			Servers: []Server{{
				Name: server, URL: "mqtt://" + server + ":1883",
				Address: manifest.Address{Host: server, HostPort: server + ":1883"},
			}},
			Version:           packet.V311,
			BridgeFlag:        true,
			ClientID:          spec.ClientID,
			ProbeClientID:     spec.Failover.Probe.ClientID,
			SessionExpiry:     4294967295,
			MaximumPacketSize: 32 << 20,
			KeepAlive:         10 * time.Second,
			ConnectTimeout:    5 * time.Second,
			PingTimeout:       5 * time.Second,
			AckTimeout:        10 * time.Second,
			ProbeTimeout:      5 * time.Second,
			Failover: failover.Config{
				RetryInitial:  500 * time.Millisecond,
				RetryMax:      30 * time.Second,
				ProbeInterval: 30 * time.Second,
				Failback:      true,
				Stable:        time.Minute,
			},
		}
	}
	s := &Settings{
		Local: side("local", &spec.Local), Remote: side("remote", &spec.Remote),
		InflightWindow: 256, QoS2Window: 20, MemoryBytes: 8 << 20, Log: Log{Level: slog.LevelInfo},
	}
	s.Remote.CleanSession = true // there are no subscriptions
	s.Remote.PublishQoS = 1
	return s
}

// withoutFunctions returns the settings without the functions of windows, which
// reflect.DeepEqual cannot compare.
func withoutFunctions(s *Settings) *Settings {
	out := *s
	for _, side := range []*Side{&out.Local, &out.Remote} {
		windows := make([]window.Window, 0, len(side.Failover.Windows))
		for _, w := range side.Failover.Windows {
			windows = append(windows, window.Window{Length: w.Length})
		}
		side.Failover.Windows = nil
		if len(windows) > 0 {
			side.Failover.Windows = windows
		}
	}
	return &out
}

func TestResolve_Manifests_ReturnsSettingsAsPlainValues(t *testing.T) {
	const (
		local  = `local: {primary: {url: "mqtt://local:1883"}`
		remote = `remote: {primary: {url: "mqtt://remote:1883"}`
		rules  = `localToRemote: [{filter: "a/#"}]`
	)
	b, err := Load(write(t, t.TempDir(), "b.yaml", minimal))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, old, new string
		want           func(s *Settings)
	}{
		{"minimal", "", "", func(*Settings) {}},
		{"times of a side", remote, remote + `, keepAliveSeconds: 20, sessionExpiry: 1m, failover: {connectTimeoutSeconds: 1, pingTimeoutSeconds: 2, ackTimeoutSeconds: 3, probe: {timeoutSeconds: 4, intervalSeconds: 6}, retry: {initialMilliseconds: 70, maxSeconds: 8}, failback: {stableSeconds: 9}}`, func(s *Settings) {
			r := &s.Remote
			r.KeepAlive, r.SessionExpiry = 20*time.Second, 60
			r.ConnectTimeout, r.PingTimeout, r.AckTimeout, r.ProbeTimeout = time.Second, 2*time.Second, 3*time.Second, 4*time.Second
			r.Failover = failover.Config{RetryInitial: 70 * time.Millisecond, RetryMax: 8 * time.Second, ProbeInterval: 6 * time.Second, Failback: true, Stable: 9 * time.Second}
		}},
		{"the other side", local, local + `, keepAliveSeconds: 20, failover: {ackTimeoutSeconds: 3}`, func(s *Settings) {
			s.Local.KeepAlive, s.Local.AckTimeout = 20*time.Second, 3*time.Second
		}},
		{"MQTT 5", remote, remote + `, protocolVersion: "5"`, func(s *Settings) { s.Remote.Version = packet.V5 }},
		{"no bridge flag", remote, remote + `, bridgeMode: "Off"`, func(s *Settings) { s.Remote.BridgeFlag = false }},
		{"client identifiers", remote, remote + `, clientID: me, failover: {probe: {clientID: probe}}`, func(s *Settings) {
			s.Remote.ClientID, s.Remote.ProbeClientID = "me", "probe"
		}},
		{"a maximum packet size", remote, remote + `, maximumPacketSize: 1Ki`, func(s *Settings) { s.Remote.MaximumPacketSize = 1024 }},
		{"a clean session", local, local + `, cleanSession: true`, func(s *Settings) { s.Local.CleanSession = true }},
		{"stale sessions", remote, remote + `, failover: {staleSession: Discard}`, func(s *Settings) { s.Remote.DiscardStale = true }},
		{"no failback", remote, remote + `, failover: {failback: {policy: Never}}`, func(s *Settings) { s.Remote.Failover.Failback = false }},
		{"no probes", remote, remote + `, failover: {failback: {policy: Never}, probe: {policy: Never}}`, func(s *Settings) {
			s.Remote.Failover.Failback, s.Remote.Failover.ProbeInterval = false, 0
		}},
		{"windows", remote, remote + `, failover: {failback: {windows: [{schedule: "0 2 * * 6", durationMinutes: 90}]}}`, func(s *Settings) {
			s.Remote.Failover.Windows = []window.Window{{Length: 90 * time.Minute}}
		}},
		{"rules in both directions", rules, "localToRemote: [{filter: a, qos: 2}, {filter: b, qos: 0}]\n  remoteToLocal: [{filter: c, qos: 0}]", func(s *Settings) {
			s.Remote.PublishQoS, s.Local.PublishQoS, s.Remote.CleanSession = 2, 0, false
		}},
		{"a loop", rules, rules + "\n  remoteToLocal: [{filter: a/b}]", func(s *Settings) {
			s.Loop, s.Local.PublishQoS, s.Remote.CleanSession = true, 1, false
		}},
		{"delivery", rules, rules + "\n  delivery: {inflightWindow: 7}", func(s *Settings) { s.InflightWindow, s.QoS2Window = 7, 7 }},
		{"buffered QoS 0", rules, rules + "\n  buffer: {qos0WhenDown: Buffer}", func(s *Settings) { s.BufferQoS0 = true }},
		{"blocking", rules, rules + "\n  delivery: {unforwardable: {policy: Block}}", func(s *Settings) { s.BlockUnforwardable = true }},
		{"dead letters", rules, rules + "\n  delivery: {unforwardable: {deadLetter: {topic: dead}}}", func(s *Settings) { s.DeadLetterTopic = "dead" }},
		{"memory", rules, rules + "\n  buffer: {memory: {size: 1Mi}}", func(s *Settings) { s.MemoryBytes = 1 << 20 }},
		{"more memory than a 32-bit machine has", rules, rules + "\n  buffer: {memory: {size: 4Gi}}", func(s *Settings) { s.MemoryBytes = int(min(int64(4<<30), math.MaxInt/2)) }},
		{"a disk for one direction", rules, rules + "\n  buffer: {disk: {size: 1000M}}", func(s *Settings) {
			s.Disk = Disk{Bytes: 900_000_000, WhenFull: v1alpha1.WhenFullBlock}
		}},
		{"a disk for both directions", rules, rules + "\n  remoteToLocal: [{filter: c, qos: 1}]\n  buffer: {disk: {size: 1000M, whenFull: DropOldest, messageTTLSeconds: 60}}", func(s *Settings) {
			s.Local.PublishQoS, s.Remote.CleanSession = 1, false
			s.Disk = Disk{Bytes: 450_000_000, WhenFull: v1alpha1.WhenFullDropOldest, TTL: time.Minute}
		}},
		{"drain", rules, rules + "\n  buffer: {disk: {size: 1000M}, drain: {messagesPerSecond: 5, bytesPerSecond: 2Ki}}", func(s *Settings) {
			s.Disk = Disk{Bytes: 900_000_000, WhenFull: v1alpha1.WhenFullBlock}
			s.DrainMessages, s.DrainBytes = 5, 2048
		}},
		{"notifications", rules, rules + "\n  notifications: {topic: state, qos: 0}", func(s *Settings) { s.Notifications = Notifications{Topic: "state"} }},
		{"the default QoS of notifications", rules, rules + "\n  notifications: {topic: state}", func(s *Settings) { s.Notifications = Notifications{Topic: "state", QoS: 1} }},
		{"tracing", rules, rules + "\n  tracing: {}", func(s *Settings) { s.Tracing = &Tracing{PerMillion: 10_000} }},
		{"tracing of all messages", rules, rules + "\n  tracing: {endpoint: \"http://collector:4318\", samplingRatePerMillion: 1000000, topics: Record}", func(s *Settings) {
			s.Tracing = &Tracing{Endpoint: "http://collector:4318", PerMillion: 1_000_000, Topics: true}
		}},
		{"a log level", rules, rules + "\n  runner: {logLevel: debug}", func(s *Settings) { s.Log.Level = slog.LevelDebug }},
		{"a log format", rules, rules + "\n  runner: {logFormat: json}", func(s *Settings) { s.Log.JSON = true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(minimal, c.old, c.new, 1)
			if c.old != "" && text == minimal {
				t.Fatal("the manifest does not change")
			}
			got, want := withoutFunctions(resolve(t, text)), minimalSettings(&b.Spec)
			c.want(want)
			want.LocalToRemote, want.RemoteToLocal = got.LocalToRemote, got.RemoteToLocal // TestResolve_Rules checks them
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestResolve_SamplerOfEnvironment_DecidesUnlessTheManifestHasARate(t *testing.T) {
	t.Setenv(samplerVariable, "always_off")
	if got := resolve(t, minimal+"  tracing: {}\n").Tracing; !got.ByEnvironment {
		t.Errorf("the settings are %+v", got)
	}
	if got := resolve(t, minimal+"  tracing: {samplingRatePerMillion: 5}\n").Tracing; got.ByEnvironment || got.PerMillion != 5 {
		t.Errorf("the settings are %+v", got)
	}
}

func TestResolve_Rules_AreThoseOfTheirDirection(t *testing.T) {
	s := resolve(t, minimal+"  remoteToLocal: [{filter: b}, {filter: c}]\n  notifications: {topic: state}\n")
	filters := func(rules []manifest.Rule) (out []string) {
		for i := range rules {
			out = append(out, rules[i].Filter.String())
			if !rules[i].Excludes("state") {
				t.Errorf("the rule %s forwards notifications", rules[i].Filter)
			}
		}
		return out
	}
	if got := filters(s.LocalToRemote); !slices.Equal(got, []string{"a/#"}) {
		t.Errorf("localToRemote: %q", got)
	}
	if got := filters(s.RemoteToLocal); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("remoteToLocal: %q", got)
	}
}

func TestResolveServer_ServersOfASide_OverrideItsSettings(t *testing.T) {
	login := func(secret, path string) Login {
		return Login{UsernameFrom: secretKey(secret, "username", path+".username.secretKeyRef"), Password: secretKey(secret, "password", path+".password.secretKeyRef")}
	}
	side := &v1alpha1.Side{
		Credentials: credentials("side"),
		TLS: &v1alpha1.TLS{
			ServerName: "side.example.", ALPN: []string{"mqtt"},
			CA: &v1alpha1.CASource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: "ca", Key: "ca.crt"}},
		},
		Proxy:     &v1alpha1.Proxy{URL: "http://p:3128", Credentials: credentials("side-proxy")},
		WebSocket: &v1alpha1.WebSocket{Headers: []v1alpha1.Header{{Name: "x", Value: "1"}}, QueryFrom: from("side-query", "q")},
	}
	sideTLS := TLS{ServerName: "side.example", ALPN: []string{"mqtt"}, CA: caRef}
	sideLogin := login("side", "spec.remote.credentials")
	sideProxy := Proxy{Scheme: "http", HostPort: "p:3128", Login: login("side-proxy", "spec.remote.proxy.credentials")}
	const own = "spec.remote.backups[1]"
	for name, c := range map[string]struct {
		side   *v1alpha1.Side
		server v1alpha1.Server
		want   Server
	}{
		"no settings": {&v1alpha1.Side{}, v1alpha1.Server{Name: "a", URL: "mqtts://h"}, Server{
			Name: "a", URL: "mqtts://h", Address: manifest.Address{Host: "h", HostPort: "h:8883", TLS: true}, TLS: TLS{ServerName: "h"},
		}},
		"settings of the side, plain": {side, v1alpha1.Server{URL: "mqtt://h"}, Server{
			URL: "mqtt://h", Address: manifest.Address{Host: "h", HostPort: "h:1883"}, Login: sideLogin, Proxy: sideProxy,
		}},
		"settings of the side, TLS and WebSocket": {side, v1alpha1.Server{URL: "wss://h/m?secret"}, Server{
			URL: "wss://h/m?...", Address: manifest.Address{Host: "h", HostPort: "h:443", TLS: true, WebSocket: true, Path: "/m?secret"},
			Login: sideLogin, TLS: sideTLS, Proxy: sideProxy, Headers: []Header{{Name: "x", Value: "1"}},
			Query: secretKey("side-query", "q", "spec.remote.webSocket.queryFrom.secretKeyRef"),
		}},
		"settings of the server": {side, v1alpha1.Server{
			URL:         "wss://h",
			Credentials: &v1alpha1.Credentials{Username: &v1alpha1.UsernameSource{Value: "plant1"}, Password: from("own", "word")},
			TLS: &v1alpha1.TLS{
				Certificate: &v1alpha1.CertificateSource{ConfigMapKeyRef: &v1alpha1.KeyReference{Name: "cert", Key: "chain.pem"}},
				Key:         from("cert", "tls.key"),
			},
			Proxy: &v1alpha1.Proxy{URL: "socks5://[::1]:1080"}, WebSocket: &v1alpha1.WebSocket{Headers: []v1alpha1.Header{{Name: "y", ValueFrom: from("own-header", "k")}}},
		}, Server{
			URL: "wss://h", Address: manifest.Address{Host: "h", HostPort: "h:443", TLS: true, WebSocket: true},
			Login: Login{Username: "plant1", Password: secretKey("own", "word", own+".credentials.password.secretKeyRef")},
			TLS: TLS{
				ServerName:  "h",
				Certificate: manifest.Reference{Kind: manifest.KindConfigMap, Name: "cert", Key: "chain.pem", Field: own + ".tls.certificate.configMapKeyRef"},
				Key:         secretKey("cert", "tls.key", own+".tls.key.secretKeyRef"),
			},
			Proxy:   Proxy{Scheme: "socks5", HostPort: "[::1]:1080"},
			Headers: []Header{{Name: "y", From: secretKey("own-header", "k", own+".webSocket.headers[0].valueFrom.secretKeyRef")}},
		}},
	} {
		root := field.NewPath("spec", "remote")
		got, err := resolveServer(c.side, &c.server, paths{root, manifest.ServerPath(root, 2)})
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, c.want)
		}
	}
}
