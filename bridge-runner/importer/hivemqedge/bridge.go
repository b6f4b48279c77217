// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package hivemqedge

import (
	"fmt"
	"strconv"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
)

// importer imports one bridge.
type importer struct {
	*draft.Bridge
	root *tree.Value
}

// read reads the elements of the bridge. HiveMQ Edge uses MQTT 5 on both sides.
func (i importer) read(r *draft.Reader) {
	s := i.Spec()
	s.Remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion5)
	s.Local.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion5)
	r.Skip("id")
	i.setLocal()
	if enabled, ok := r.Bool("enabled"); ok && !enabled {
		s.Suspend = ptr.To(true)
		r.Note("enabled", "the bridge is suspended, as in the configuration; remove spec.suspend to start it")
	}
	if broker := r.Object("remote-broker"); broker != nil {
		i.remote(broker)
	} else {
		i.Refuse(i.Line, i.Source, "the bridge has no remote-broker")
	}
	i.rules(true, r.Object("forwarded-topics"), "forwarded-topic")
	i.rules(false, r.Object("remote-subscriptions"), "remote-subscription")
	i.loopPrevention(r)
	if persist, ok := r.Bool("persist"); ok && !persist {
		r.Note("persist", "QoS 1 and 2 messages stay with the server that they come from, so the bridge needs no storage")
	}
	r.Rest(nil)
}

// setLocal sets the local server from the listeners of HiveMQ Edge.
func (i importer) setLocal() {
	for _, l := range []struct{ scheme, element string }{{"mqtt", "tcp-listener"}, {"mqtts", "tls-tcp-listener"}} {
		f := i.root.Find("hivemq", "mqtt-listeners", l.element)
		if f == nil {
			continue
		}
		v := f.Value
		if v.Kind == tree.List {
			v = v.Items[0]
		}
		if port := v.Get("port"); port != nil {
			i.SetLocal(l.scheme, port.Value.Text, port.Line)
			return
		}
	}
	i.SetLocal("mqtt", "", i.Line)
}

// remote reads the element remote-broker.
func (i importer) remote(r *draft.Reader) {
	remote := &i.Spec().Remote
	host, ok := r.Text("host")
	if !ok || host == "" {
		i.Refuse(r.Line("host"), "remote-broker.host", "the bridge has no host")
	}
	port, ok := r.Int("port", 1, 65535)
	if !ok {
		port = 1883
	}
	scheme := "mqtt"
	if t := r.Object("tls"); t != nil && i.tls(t) {
		scheme = "mqtts"
	}
	url := draft.URL(scheme, host, strconv.FormatInt(port, 10))
	if w := r.Object("websocket"); w != nil {
		if on, ok := w.Bool("enabled"); ok && on {
			path, ok := w.Text("server-path")
			if !ok {
				path = "/mqtt"
			}
			url = draft.URL(map[string]string{"mqtt": "ws", "mqtts": "wss"}[scheme], host, strconv.FormatInt(port, 10)) + "/" + strings.TrimPrefix(path, "/")
			if protocol, ok := w.Text("subprotocol"); ok && protocol != "mqtt" {
				w.Changed("subprotocol", "the bridge always uses the subprotocol mqtt, as MQTT requires, and not %s", protocol)
			}
			w.Rest(nil)
		}
	}
	i.SetServers([]draft.Address{{URL: url, Key: r.Key("host"), Line: r.Line("host")}})
	if m := r.Object("mqtt"); m != nil {
		i.session(m)
	}
	if a := r.Object("authentication"); a != nil {
		if simple := a.Object("mqtt-simple-authentication"); simple != nil {
			i.SetLogin(remote, "remote", simple.Login("username", "password"))
			simple.Rest(nil)
		}
		a.Rest(nil)
	}
	r.Rest(nil)
}

// session reads the element mqtt.
func (i importer) session(m *draft.Reader) {
	remote := &i.Spec().Remote
	if id, ok := m.Text("client-id"); ok {
		remote.ClientID = id
	}
	if clean, ok := m.Bool("clean-start"); ok {
		remote.CleanSession = ptr.To(clean)
	}
	if seconds, ok := m.Int("keep-alive", 0, 65535); ok {
		if seconds == 0 {
			m.LeftOut("keep-alive", "the bridge always uses a keep alive; it uses its default")
		} else {
			remote.KeepAliveSeconds = ptr.To(int32(seconds)) //nolint:gosec // at most 65535
		}
	}
	if seconds, ok := m.Int("session-expiry", 0, 4294967295); ok {
		draft.SetExpiry(remote, seconds)
	}
	m.Rest(nil)
}

const storeReason = "the bridge reads PEM files, and no Java keystore; convert it with keytool and openssl, create a Secret with the keys ca.crt, tls.crt and tls.key, and set spec.remote.tls"

// tls reads the element tls, and reports whether TLS is on.
func (i importer) tls(t *draft.Reader) bool {
	if on, ok := t.Bool("enabled"); !ok || !on {
		return false
	}
	if verify, ok := t.Bool("verify-hostname"); ok && !verify {
		t.LeftOut("verify-hostname", "the bridge always verifies the name in the server's certificate; set tls.serverName to the name that it contains")
	}
	t.Rest(map[string]string{
		"keystore":          storeReason,
		"truststore":        storeReason,
		"protocols":         "the bridge uses TLS 1.3 or 1.2, as the server prefers",
		"cipher-suites":     "the bridge chooses the ciphers of TLS 1.2 and 1.3 itself",
		"handshake-timeout": "spec.remote.failover.connectTimeoutSeconds limits the whole attempt to connect; choose its value in seconds",
	})
	return true
}

// loopPrevention reads the element loop-prevention.
func (i importer) loopPrevention(r *draft.Reader) {
	l := r.Object("loop-prevention")
	if l == nil {
		return
	}
	if on, ok := l.Bool("enabled"); ok && !on {
		l.Skip("hop-count-limit")
		return
	}
	l.Rest(map[string]string{"hop-count-limit": "HiveMQ counts hops in the user property hmq-bridge-hop-count, and this project in mqttbridge-hops: set spec.delivery.maxHops when all bridges of a loop are of this project"})
}

// rules reads the topics of a direction.
func (i importer) rules(out bool, list *draft.Reader, element string) {
	if list == nil {
		return
	}
	for _, item := range list.Items(element) {
		t := i.Reader(element, item)
		if t.LeaveOutside("destination", "max-qos") {
			continue
		}
		var rule v1alpha1.Rule
		if qos, ok := t.Int("max-qos", 0, 2); ok {
			rule.QoS = ptr.To(int32(qos)) //nolint:gosec // 0 to 2
		} else {
			rule.QoS = ptr.To[int32](0)
		}
		if keep, ok := t.Bool("preserve-retain"); !ok || !keep {
			rule.Retain = ptr.To(v1alpha1.RetainClear)
		}
		if e := t.Object("excludes"); e != nil {
			rule.Exclude = texts(e.Items("mqtt-topic-filter"))
		}
		if p := t.Object("custom-user-properties"); p != nil {
			rule.UserProperties = properties(p.Items("user-property"))
		}
		destination, _ := t.Text("destination")
		if f := t.Object("filters"); f != nil {
			for _, text := range f.Items("mqtt-topic-filter") {
				if text.Kind == tree.Reference {
					i.LeftOut(text.Line, f.Key("mqtt-topic-filter"), "the value %s is set outside the file; write the topic into the manifest", text.Text)
					continue
				}
				one, filter := rule, text.Text
				topic, err := i.topic(destination, filter)
				if err != nil {
					t.LeftOut("destination", "the rule for %s was left out: %v", filter, err)
					continue
				}
				one.Filter, one.Topic = filter, topic
				i.AddRule(out, item.Line, t.Key("filters"), one)
			}
		}
		t.Rest(map[string]string{"queue-limit": "HiveMQ counts queued messages; the server that the messages come from limits them here"})
	}
}

// topic converts a destination: {#} is the whole topic, and ${bridge.name} the name of the bridge.
func (i importer) topic(destination, filter string) (string, error) {
	if destination == "" || destination == "{#}" {
		return "", nil
	}
	var levels []string
	for level := range strings.SplitSeq(strings.ReplaceAll(destination, "${bridge.name}", i.Source), "/") {
		switch {
		case level == "{#}":
			levels = append(levels, "${topic}")
		case strings.HasPrefix(level, "{") && strings.HasSuffix(level, "}"):
			text, err := pick(level, filter)
			if err != nil {
				return "", err
			}
			levels = append(levels, text)
		default:
			text, err := draft.Literal(level)
			if err != nil {
				return "", fmt.Errorf("the destination %q: %w", destination, err)
			}
			levels = append(levels, text)
		}
	}
	return strings.Join(levels, "/"), nil
}

// pick converts {N}, the level N of the topic, counted from 1, by means of the filter.
func pick(level, filter string) (string, error) {
	n, err := strconv.Atoi(level[1 : len(level)-1])
	parts := strings.Split(filter, "/")
	if err != nil || n < 1 {
		return "", fmt.Errorf("the destination has %s, but only {#} and {N} are imported; use ${1}, ${2} for the wildcards of the filter", level)
	}
	wildcards := 0
	for at, part := range parts {
		switch part {
		case "#":
			return "", fmt.Errorf("the destination has %s, which # of the filter %s matches together with other levels", level, filter)
		case "+":
			wildcards++
		}
		if at+1 == n {
			if part == "+" {
				return fmt.Sprintf("${%d}", wildcards), nil
			}
			return draft.Literal(part)
		}
	}
	return "", fmt.Errorf("the destination has %s, but the filter %s has %s", level, filter, count.Of(len(parts), "level"))
}

func texts(items []*tree.Value) []string {
	out := make([]string, 0, len(items))
	for _, item := range items {
		out = append(out, item.Text)
	}
	return out
}

func properties(items []*tree.Value) []v1alpha1.UserProperty {
	out := make([]v1alpha1.UserProperty, 0, len(items))
	for _, item := range items {
		var p v1alpha1.UserProperty
		if f := item.Get("key"); f != nil {
			p.Name = f.Value.Text
		}
		if f := item.Get("value"); f != nil {
			p.Value = f.Value.Text
		}
		out = append(out, p)
	}
	return out
}
