// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package hivemqedge

import (
	"fmt"
	"math"
	"regexp"
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
		for n := range s.LocalToRemote {
			s.LocalToRemote[n].QoS = ptr.To[int32](0)
		}
		r.Note("persist", "HiveMQ Edge then forwards with QoS 0, and so do the rules of localToRemote; the bridge needs no storage for QoS 1 and 2: raise qos if no message may be lost")
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
			path, query, _ := strings.Cut(path, "?")
			i.SetQuery(remote, "remote", query)
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

// loopPrevention reads the element loop-prevention, which is on by default, with the limit 1.
func (i importer) loopPrevention(r *draft.Reader) {
	limit := int64(1)
	l := r.Object("loop-prevention")
	if l == nil {
		i.Note(i.Line, "loop-prevention", "by default, HiveMQ Edge drops messages that have passed another bridge; spec.delivery.maxHops counts bridges of this project only; remove it if messages pass several bridges")
	} else {
		if on, ok := l.Bool("enabled"); ok && !on {
			l.Skip("hop-count-limit")
			l.Rest(nil)
			return
		}
		if n, ok := l.Int("hop-count-limit", 0, math.MaxInt32); ok {
			limit = n
		}
		l.Changed("hop-count-limit", "spec.delivery.maxHops counts bridges of this project only: HiveMQ Edge counts in the user property hmq-bridge-hop-count, and the bridge in mqttbridge-hops")
		l.Rest(nil)
	}
	i.Spec().Delivery = &v1alpha1.Delivery{MaxHops: ptr.To(int32(min(max(limit, 1), 255)))}
}

// rules reads the topics of a direction.
func (i importer) rules(out bool, list *draft.Reader, element string) {
	if list == nil {
		return
	}
	for _, item := range list.Items(element) {
		t := i.Reader(element, item)
		i.topics(out, t, item.Line)
		t.Rest(map[string]string{"queue-limit": "HiveMQ counts queued messages; the server that the messages come from limits them here"})
	}
	list.Rest(nil)
}

// topics adds a rule for each filter of an entry.
func (i importer) topics(out bool, t *draft.Reader, line int) {
	rule := v1alpha1.Rule{QoS: ptr.To[int32](0), RetainHandling: ptr.To(v1alpha1.RetainHandlingDoNotSend)}
	if qos, ok := t.Int("max-qos", 0, 2); ok {
		rule.QoS = ptr.To(int32(qos)) //nolint:gosec // 0 to 2
	}
	if keep, ok := t.Bool("preserve-retain"); !ok || !keep {
		rule.Retain = ptr.To(v1alpha1.RetainClear)
	}
	outside := t.LeaveOutside("destination", "max-qos")
	if e := t.Object("excludes"); e != nil {
		outside = e.LeaveOutside("mqtt-topic-filter") || outside
		for _, filter := range e.Items("mqtt-topic-filter") {
			rule.Exclude = append(rule.Exclude, filter.Text)
		}
		e.Rest(nil)
	}
	if p := t.Object("custom-user-properties"); p != nil {
		rule.UserProperties = i.properties(p)
	}
	destination := ""
	if !outside {
		destination, _ = t.Text("destination")
	}
	f := t.Object("filters")
	if f == nil || len(f.Items("mqtt-topic-filter")) == 0 {
		i.LeftOut(line, t.Key(""), "the entry has no filters")
		return
	}
	for _, text := range f.Items("mqtt-topic-filter") {
		switch topic, err := i.topic(destination, text.Text); {
		case outside:
		case text.Kind == tree.Reference:
			i.LeftOut(text.Line, f.Key("mqtt-topic-filter"), "the value %s is set outside the file; write the topic into the manifest", text.Text)
		case err != nil:
			t.LeftOut("destination", "the rule for %s was left out: %v", text.Text, err)
		default:
			one := rule
			one.Filter, one.Topic = text.Text, topic
			i.AddRule(out, line, t.Key("filters"), one)
		}
	}
	f.Rest(nil)
}

// properties reads the user properties that are added to messages.
func (i importer) properties(p *draft.Reader) []v1alpha1.UserProperty {
	var out []v1alpha1.UserProperty
	for _, item := range p.Items("user-property") {
		u := i.Reader(p.Key("user-property"), item)
		name, hasName := u.Text("key")
		value, hasValue := u.Text("value")
		switch {
		case hasName && hasValue:
			out = append(out, v1alpha1.UserProperty{Name: name, Value: value})
		case !u.Has("key"), !u.Has("value"):
			i.LeftOut(item.Line, p.Key("user-property"), "it has no key or no value, so HiveMQ Edge ignores it")
		}
		u.Rest(nil)
	}
	p.Rest(nil)
	return out
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

// span matches {N}, {N-M} and {N-#}.
var span = regexp.MustCompile(`^\{(\d{1,4})(-(\d{1,4}|#))?\}$`)

// pick converts levels of the topic, counted from 1, by means of the filter: {N}, {N-M}, and {N-#} for
// the level N and all after it.
func pick(level, filter string) (string, error) {
	m := span.FindStringSubmatch(level)
	if len(m) == 0 || strings.Trim(m[1], "0") == "" {
		return "", fmt.Errorf("the destination has %s, but only {#}, {N}, {N-M} and {N-#} are imported; use ${1}, ${2} for the wildcards of the filter", level)
	}
	parts := strings.Split(filter, "/")
	first, _ := strconv.Atoi(m[1])
	last := first
	switch m[3] {
	case "":
	case "#":
		last = len(parts)
	default:
		last, _ = strconv.Atoi(m[3])
	}
	if first > last || last > len(parts) {
		return "", fmt.Errorf("the destination has %s, but the filter %s has %s", level, filter, count.Of(len(parts), "level"))
	}
	var picked []string
	wildcards := 0
	for at, part := range parts[:last] {
		switch {
		case part == "#" && m[3] != "#":
			return "", fmt.Errorf("the destination has %s, which # of the filter %s matches together with other levels", level, filter)
		case part == "#", part == "+":
			wildcards++
			part = fmt.Sprintf("${%d}", wildcards)
		case at+1 >= first:
			text, err := draft.Literal(part)
			if err != nil {
				return "", err
			}
			part = text
		}
		if at+1 >= first {
			picked = append(picked, part)
		}
	}
	return strings.Join(picked, "/"), nil
}
