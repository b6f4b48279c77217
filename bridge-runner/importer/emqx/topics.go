// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package emqx

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/draft"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/importer/tree"
)

// defaults are the values that EMQX uses for missing keys of published messages. An empty payload
// stands for a JSON object with all fields of the message.
type defaults struct{ qos, retain, payload string }

var (
	// remoteDefaults apply to egress and actions.
	remoteDefaults = defaults{qos: "1", retain: "false"}
	// localDefaults apply to ingress and sources.
	localDefaults     = defaults{qos: "${qos}", retain: "${retain}"}
	republishDefaults = defaults{qos: "${qos}", retain: "${retain}", payload: "${payload}"}
)

// legacy reads a bridge of releases before 5.4, with ingress and egress.
func (i importer) legacy(r *draft.Reader) {
	i.side(r)
	if e := r.Object("egress"); e != nil {
		remote := e.Object("remote")
		filter := ""
		if local := e.Object("local"); local != nil {
			filter, _ = local.Text("topic")
			local.Rest(nil)
		}
		if remote == nil {
			i.LeftOut(r.Line("egress"), r.Key("egress"), "it has no remote topic")
		} else {
			i.egress(r.Key("egress"), r.Line("egress"), filter, remote, "bridge:mqtt:"+i.Source, "mqtt:"+i.Source)
		}
		e.Rest(reasons)
	}
	if in := r.Object("ingress"); in != nil {
		if remote := in.Object("remote"); remote != nil {
			i.ingress(remote, in.Object("local"), "$bridges/mqtt:"+i.Source)
		} else {
			i.LeftOut(r.Line("ingress"), r.Key("ingress"), "it has no remote topic")
		}
		in.Rest(reasons)
	}
	i.finish(r)
}

// connector reads a connector, and its actions and sources.
func (i importer) connector(r *draft.Reader) {
	i.side(r)
	for _, a := range i.ofConnector("actions") {
		t := i.open("actions", a)
		if t == nil {
			continue
		}
		filter, _ := t.Text("local_topic")
		if p := t.Object("parameters"); p == nil {
			i.LeftOut(a.Line, "actions.mqtt."+a.Key, "it has no parameters")
		} else {
			if local := p.Object("local"); local != nil { // local_topic of the action applies instead
				local.Skip("topic")
				local.Rest(nil)
			}
			i.egress("actions.mqtt."+a.Key, a.Line, filter, p, "mqtt:"+a.Key)
		}
		t.Rest(reasons)
	}
	for _, a := range i.ofConnector("sources") {
		t := i.open("sources", a)
		if t == nil {
			continue
		}
		if p := t.Object("parameters"); p == nil {
			i.LeftOut(a.Line, "sources.mqtt."+a.Key, "it has no parameters")
		} else {
			i.ingress(p, p.Object("local"), "$sources/mqtt:"+a.Key, "$bridges/mqtt:"+a.Key)
		}
		t.Rest(reasons)
	}
	i.finish(r)
}

// ofConnector returns the actions or sources of the connector.
func (i importer) ofConnector(section string) []*tree.Field {
	f := i.root.Find(section, "mqtt")
	if f == nil {
		return nil
	}
	var out []*tree.Field
	for _, a := range f.Value.Fields {
		if c := a.Value.Get("connector"); c != nil && c.Value.Text == i.Source {
			out = append(out, a)
		}
	}
	return out
}

// open returns a reader of an action or source, or nil if it is disabled.
func (i importer) open(section string, a *tree.Field) *draft.Reader {
	t := i.Reader(section+".mqtt."+a.Key, a.Value)
	t.Skip("connector", "description", "tags", "created_at", "last_modified_at", "fallback_actions")
	if enabled, ok := t.Bool("enable"); ok && !enabled {
		t.Note("enable", "it is disabled, so its topics are not imported")
		return nil
	}
	return t
}

// egress adds the rules of a remote topic: the messages of the local topic, and of the rules that
// have one of the names as an action.
func (i importer) egress(key string, line int, filter string, p *draft.Reader, names ...string) {
	if filter != "" {
		i.publish(true, filter, p, remoteDefaults)
	}
	if !i.egressOfRules(p, names) && filter == "" {
		i.LeftOut(line, key, "it has no local topic, and no rule in this file sends messages to it; put its rules into the same file")
	}
}

// ingress adds the rules of a remote topic: local has the topic under which EMQX publishes the
// messages itself, and names are the names of the messages in the SQL of rules. local may be nil.
func (i importer) ingress(remote, local *draft.Reader, names ...string) {
	filter, _ := remote.Text("topic")
	before := len(i.Spec().RemoteToLocal)
	published := local != nil && local.Has("topic")
	if published {
		i.publish(false, filter, local, localDefaults)
	} else if local != nil {
		local.Rest(map[string]string{"*": "EMQX uses it only together with a topic"})
	}
	if !i.ingressOfRules(filter, names) && !published {
		i.LeftOut(remote.Line("topic"), remote.Key("topic"), "the messages of %s are not published on this broker: it has no local topic, and no rule in this file publishes them again (SELECT * FROM \"%s\" with the action republish)", filter, names[0])
	}
	i.subscribeQoS(remote, before)
	remote.Rest(reasons)
}

// subscribeQoS limits the QoS of the rules from index first on to the QoS of the subscription.
func (i importer) subscribeQoS(p *draft.Reader, first int) {
	qos, ok := p.Int("qos", 0, 2)
	if !ok {
		qos = 1 // the default of EMQX
	}
	if qos == 2 {
		p.Note("qos", "current releases of EMQX subscribe with QoS 1 instead; the bridge subscribes with QoS 2")
	}
	for n := range i.Spec().RemoteToLocal[first:] {
		rule := &i.Spec().RemoteToLocal[first+n]
		if rule.QoS == nil || int64(*rule.QoS) > qos {
			rule.QoS = ptr.To(int32(qos))
		}
	}
}

// publish adds a rule. p has the topic, QoS, retain flag and payload with which messages are
// published.
func (i importer) publish(out bool, filter string, p *draft.Reader, missing defaults) {
	defer p.Rest(reasons)
	if p.LeaveOutside("topic", "qos") {
		p.Skip("topic", "qos", "retain", "payload")
		return
	}
	topic, _ := p.Text("topic")
	rule := v1alpha1.Rule{Filter: filter}
	template, err := convertTopic(withoutDots(topic))
	if err != nil {
		p.LeftOut("topic", "the rule for %s was left out: %v", filter, err)
		p.Skip("qos", "retain", "payload")
		return
	}
	rule.Topic = template
	publishOptions(p, &rule, missing)
	i.AddRule(out, p.Line("topic"), p.Key("topic"), rule)
}

// publishOptions reads the QoS, the retain flag and the payload of published messages.
func publishOptions(p *draft.Reader, rule *v1alpha1.Rule, missing defaults) {
	switch qos, _ := template(p, "qos", missing.qos); qos {
	case "${qos}":
		rule.QoS = ptr.To[int32](2)
	case "0", "1", "2":
		rule.QoS = ptr.To(int32(qos[0] - '0'))
		if qos != "0" {
			p.Changed("qos", "EMQX gives every message QoS %s; a rule of this project lowers the QoS of messages to at most %s, and never raises it", qos, qos)
		}
	default:
		p.LeftOut("qos", "the rule has a fixed QoS, and cannot compute it from %s", qos)
	}
	switch retain, _ := template(p, "retain", missing.retain); retain {
	case "${retain}", "${flags.retain}":
	case "true":
		rule.Retain = ptr.To(v1alpha1.RetainSet)
	case "false":
		rule.Retain = ptr.To(v1alpha1.RetainClear)
	default:
		p.LeftOut("retain", "the rule keeps, sets or clears the flag, and cannot compute it from %s", retain)
	}
	switch payload, ok := template(p, "payload", missing.payload); {
	case payload == "${payload}":
	case !ok:
		p.Changed("payload", "without a payload, EMQX publishes a JSON object with all fields of the message; the bridge publishes the payload as it is")
	default:
		p.Changed("payload", "the bridge publishes the payload as it is, and has no templates for it")
	}
}

// template returns the template under a key, or the value of a missing key.
func template(p *draft.Reader, key, missing string) (text string, ok bool) {
	if text, ok = p.Text(key); !ok {
		return missing, false
	}
	return withoutDots(text), true
}

// withoutDots returns a template in which no placeholder begins with a dot: ${.topic} and ${topic}
// are the same.
func withoutDots(template string) string { return strings.ReplaceAll(template, "${.", "${") }

// placeholder matches the placeholders of EMQX.
var placeholder = regexp.MustCompile(`[$]\{([^}]*)\}`)

// convertTopic converts a topic template.
func convertTopic(topic string) (string, error) {
	for _, m := range placeholder.FindAllStringSubmatch(topic, -1) {
		if m[1] != "topic" {
			return "", fmt.Errorf("the topic of a rule has no placeholder %s; it has ${topic} and ${1}, ${2} for the wildcards of the filter", m[0])
		}
	}
	if topic == "" {
		return "", fmt.Errorf("the topic is missing")
	}
	parts := strings.Split(topic, "${topic}")
	for n, part := range parts {
		text, err := draft.Literal(part)
		if err != nil {
			return "", err
		}
		parts[n] = text
	}
	if topic == "${topic}" {
		return "", nil
	}
	return strings.Join(parts, "${topic}"), nil
}
