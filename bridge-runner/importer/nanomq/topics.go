// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package nanomq

import (
	"fmt"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// servers reads the servers of the bridge: server, hybrid_servers, and the backup servers that
// some configurations have. It reports whether one of them uses TLS. r is the object of the bridge
// and c its connector.
func (i importer) servers(c, r *draft.Reader) (tls bool) {
	var servers []draft.Address
	add := func(key, url string, line int) {
		converted, ok := i.server(key, url, line)
		if ok {
			servers = append(servers, draft.Address{URL: converted, Key: key, Line: line})
			tls = tls || strings.HasPrefix(converted, "mqtts://")
		}
	}
	if server, ok := c.Text("server"); ok {
		add(c.Key("server"), server, c.Line("server"))
	} else if i.aws && c.Has("host") {
		host, _ := c.Text("host")
		port, _ := c.Int("port", 1, 65535)
		if port == 0 {
			port = 8883
		}
		add(c.Key("host"), hostPort(host, int(port)), c.Line("host"))
	} else if !c.Has("server") {
		i.Refuse(i.Line, i.Source, "the bridge has no server")
		return false
	}
	hybrid, _ := r.Bool("hybrid_bridging")
	list := r.Items("hybrid_servers")
	if len(list) > 0 && !hybrid {
		r.LeftOut("hybrid_servers", "hybrid_bridging is not true, so NanoMQ does not use these servers; add them as spec.remote.backups if you want them")
		list = nil
	}
	for _, item := range list {
		add(r.Key("hybrid_servers"), item.Text, item.Line)
	}
	backups := i.backups(r, add)
	if len(servers) == 0 {
		i.Refuse(c.Line("server"), c.Key("server"), "the bridge has no server that this project can connect to")
		return false
	}
	i.SetServers(servers)
	remote := &i.Spec().Remote
	if len(remote.Backups) > 0 && len(list) > 0 && backups == 0 {
		draft.Failover(remote).Failback = &v1alpha1.Failback{Policy: ptr.To(v1alpha1.FailbackNever)}
		r.Changed("hybrid_servers", "NanoMQ takes the servers in turn; the bridge tries them in the order of the list when the server in use is lost, and then stays, because failback.policy is Never; remove it, and the bridge returns to the first server")
	}
	return tls
}

// backups reads the backup servers, and returns their number.
func (i importer) backups(r *draft.Reader, add func(key, url string, line int)) int {
	n := 0
	for _, key := range []string{"backup_server", "backup_servers", "backup_address"} {
		for _, item := range r.Items(key) {
			url := item.Text
			if server := item.Get("server"); item.Kind == tree.Object && server != nil {
				url = server.Value.Text
				if len(item.Fields) > 1 {
					r.LeftOut(key, "only the key server of a backup server is imported; set the others in spec.remote.backups")
				}
			}
			add(r.Key(key), url, item.Line)
			n++
		}
		if r.Has(key) {
			r.Note(key, "NanoMQ itself ignores this key; the bridge uses it as spec.remote.backups, and returns to the first server when that is stable again")
		}
	}
	return n
}

// server converts the URL of a server.
func (i importer) server(key, url string, line int) (string, bool) {
	kind, rest := scheme(url)
	switch {
	case kind == "quic":
		i.LeftOut(line, key, "the server %s: %s; use its port for mqtt-tcp:// or tls+mqtt-tcp://", v1alpha1.PublicURL(url), quicReason)
		return "", false
	case kind == "" && strings.Contains(url, "://"):
		i.LeftOut(line, key, "the scheme of %s is unknown; NanoMQ has mqtt-tcp://, tls+mqtt-tcp:// and mqtt-quic://", v1alpha1.PublicURL(url))
		return "", false
	case kind == "":
		kind = "mqtt"
		if i.aws {
			kind = "mqtts"
		}
	}
	if strings.Contains(rest, "${") {
		i.LeftOut(line, key, "the address %s has a placeholder; write the address into the manifest", v1alpha1.PublicURL(rest))
		return "", false
	}
	return kind + "://" + strings.TrimSuffix(rest, "/"), true
}

// forwards reads the topics from local to remote.
func (i importer) forwards(r *draft.Reader) {
	for _, item := range r.Items("forwards") {
		if item.Kind == tree.Text {
			i.addRule(true, item.Line, r.Key("forwards"), v1alpha1.Rule{Filter: item.Text, QoS: ptr.To[int32](2)})
			continue
		}
		t, filter, target := i.entry(r, item, "forwards", "local_topic", "remote_topic", "forward")
		if t == nil {
			continue
		}
		rule := v1alpha1.Rule{Filter: filter, QoS: ptr.To[int32](2)}
		if qos, ok := t.Int("qos", 0, 2); ok {
			rule.QoS = ptr.To(int32(qos)) //nolint:gosec // 0 to 2
			if qos > 0 {
				t.Changed("qos", "NanoMQ gives every message QoS %d; a rule of this project lowers the QoS of messages to at most %d, and never raises it: publish with QoS %d, or the messages keep their lower QoS", qos, qos, qos)
			}
		}
		i.setRetain(t, &rule)
		i.rule(t, true, rule, target, "remote_topic", "local_topic")
	}
}

// subscriptions reads the topics from remote to local.
func (i importer) subscriptions(r *draft.Reader) {
	for _, item := range r.Items("subscription") {
		if item.Kind == tree.Text {
			i.addRule(false, item.Line, r.Key("subscription"), v1alpha1.Rule{Filter: item.Text})
			continue
		}
		t, filter, target := i.entry(r, item, "subscription", "remote_topic", "local_topic", "receive")
		if t == nil {
			continue
		}
		rule := v1alpha1.Rule{Filter: filter, QoS: ptr.To[int32](0)}
		if qos, ok := t.Int("qos", 0, 2); ok {
			rule.QoS = ptr.To(int32(qos)) //nolint:gosec // 0 to 2
		} else {
			i.Note(item.Line, r.Key("subscription"), "the entry has no qos, so the rule for %s has QoS 0, the default of NanoMQ", filter)
		}
		i.setRetain(t, &rule)
		i.subscribeOptions(t, &rule)
		i.rule(t, false, rule, target, "local_topic", "remote_topic")
	}
}

// entry returns a reader of an entry of a list, with its topics on the sides that messages come from and go to. verb
// is what NanoMQ does with the messages. The reader is nil if NanoMQ ignores the entry.
func (i importer) entry(r *draft.Reader, item *tree.Value, list, from, to, verb string) (t *draft.Reader, filter, target string) {
	t = i.Reader(r.Key(list), item)
	if t.LeaveOutside("local_topic", "remote_topic", "topic", "prefix", "suffix", "qos") {
		return nil, "", ""
	}
	filter, ok := t.Text(from)
	if !ok {
		filter, ok = t.Text("topic")
	}
	target, hasTarget := t.Text(to)
	switch {
	case !ok || filter == "":
		i.LeftOut(item.Line, r.Key(list), "the entry has no %s, so NanoMQ ignores it", from)
		return nil, "", ""
	case !hasTarget && !t.Has("topic"):
		i.LeftOut(item.Line, r.Key(list), `the entry has no %[1]s, so NanoMQ ignores it; write %[1]s = "" to %[2]s %[3]s under the same topics, and import again`, to, verb, filter)
		return nil, "", ""
	}
	return t, filter, target
}

// subscribeOptions reads the options of a subscription with MQTT 5.
func (i importer) subscribeOptions(t *draft.Reader, rule *v1alpha1.Rule) {
	is5 := ptr.Deref(i.Spec().Remote.ProtocolVersion, "") == v1alpha1.ProtocolVersion5
	if handling, ok := number(t, "retain_handling", 2); ok {
		if is5 {
			rule.RetainHandling = ptr.To([]v1alpha1.RetainHandling{v1alpha1.RetainHandlingSend, v1alpha1.RetainHandlingSendIfNew, v1alpha1.RetainHandlingDoNotSend}[handling])
		} else {
			t.LeftOut("retain_handling", "it needs MQTT 5, but the bridge uses MQTT 3.1.1")
		}
	}
	published, ok := number(t, "retain_as_published", 1)
	switch {
	case ok && !is5:
		t.LeftOut("retain_as_published", "it needs MQTT 5, but the bridge uses MQTT 3.1.1")
	case is5 && published == 0 && rule.Retain == nil:
		t.Changed("retain_as_published", "unless it is 1, NanoMQ receives live messages without the retain flag; the bridge always asks for retain flags as they were published: set retain: Clear in the rule if live messages must not have the flag")
	}
}

// setRetain reads the retain flag of published messages.
func (i importer) setRetain(t *draft.Reader, rule *v1alpha1.Rule) {
	if retain, ok := number(t, "retain", 2); ok && retain < 2 {
		rule.Retain = ptr.To([]v1alpha1.RetainPolicy{v1alpha1.RetainClear, v1alpha1.RetainSet}[retain])
	}
}

// number returns the number under a key, from 0 to highest. NanoMQ ignores true and false.
func number(t *draft.Reader, key string, highest int64) (int64, bool) {
	if text, ok := t.Text(key); ok && (text == "true" || text == "false") {
		t.LeftOut(key, "NanoMQ expects a number, and ignores %s", text)
		return 0, false
	}
	return t.Int(key, 0, highest)
}

// rule completes a rule with the keys that both directions have, and adds it. to is the key of the
// target, and from the key of the filter.
func (i importer) rule(t *draft.Reader, out bool, rule v1alpha1.Rule, target, to, from string) {
	prefix, _ := t.Text("prefix")
	suffix, _ := t.Text("suffix")
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		t.Note("prefix", "NanoMQ adds no slash to the prefix %q, and neither does the bridge", prefix)
	}
	if suffix != "" && !strings.HasPrefix(suffix, "/") {
		t.Note("suffix", "NanoMQ adds no slash to the suffix %q, and neither does the bridge", suffix)
	}
	part := strings.Contains(rule.Filter, target)
	remap := draft.Remap
	if part && strings.ContainsAny(target, "+#") {
		remap = levels
	}
	topic, err := remap(rule.Filter, target)
	if err == nil {
		topic, err = draft.Affixed(prefix, topic, suffix)
	}
	line := t.Line("remote_topic")
	if err != nil {
		i.LeftOut(line, t.Key("remote_topic"), "the rule for %s was left out: %v", rule.Filter, err)
	} else {
		if strings.ContainsAny(target, "+#") {
			noteWildcards(t, part, out, to, from)
		}
		rule.Topic = topic
		i.addRule(out, line, t.Key("remote_topic"), rule)
	}
	t.Rest(map[string]string{"stream_id": quicReason})
}

// noteWildcards adds a note about the wildcards of a target. part reports whether the target is a part
// of the filter.
func noteWildcards(t *draft.Reader, part, out bool, to, from string) {
	switch {
	case !part:
		t.Note(to, "NanoMQ replaces wildcards only if %s is a part of %s; the bridge replaces each wildcard by the text that the same wildcard of %s matches", to, from, from)
	case out:
		t.Note(to, "most releases of NanoMQ do not support wildcards in remote_topic of forwards; the bridge replaces them by the text that local_topic matches")
	}
}

// levels returns the topic of a rule whose target is a part of its filter, and has wildcards: NanoMQ
// publishes the levels of the topic at the place of this part.
func levels(filter, target string) (string, error) {
	before, after, _ := strings.Cut(filter, target)
	first := strings.Count(before, "/")
	parts := strings.Split(filter, "/")
	last := len(parts)
	if after != "" {
		last = first + 1 + strings.Count(target, "/")
	}
	if first == 0 && last == len(parts) {
		return "", nil
	}
	wildcards := 0
	for n, part := range parts {
		if part == "+" || part == "#" {
			wildcards++
			parts[n] = fmt.Sprintf("${%d}", wildcards)
		} else if _, err := draft.Literal(part); err != nil {
			return "", err
		}
	}
	return strings.Join(parts[first:last], "/"), nil
}

func (i importer) addRule(out bool, line int, key string, rule v1alpha1.Rule) {
	if strings.Contains(rule.Filter, "${") {
		i.LeftOut(line, key, "the topic %s has a placeholder; write the topic into the manifest", rule.Filter)
		return
	}
	i.AddRule(out, line, key, rule)
}
