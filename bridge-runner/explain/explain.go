// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

// Package explain describes the path of a topic through a bridge: the rules that match, the messages
// that they publish, and whether these messages could come back.
//
// It promises to agree with the runner: the results of the rules come from [delivery.Derive], which
// is a part of the path of each message. It connects to no server, so that it does not know the
// limits of the servers; package check finds them.
package explain

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/delivery"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/session"
	"github.com/mqttbridge/mqttbridge-operator/internal/count"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
)

// The directions. The metrics have the same names, and the same causes for which a rule does not forward a
// message.
const (
	localToRemote = "localToRemote"
	remoteToLocal = "remoteToLocal"
)

// Message is the message to explain, as a client publishes it.
type Message struct {
	Topic  string `json:"topic"`
	QoS    byte   `json:"qos"`
	Retain bool   `json:"retain"`
}

// Report explains messages for some bridges.
type Report struct {
	Bridges []Bridge `json:"bridges"`
}

// Bridge explains messages for one bridge.
type Bridge struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	// Policies apply to all messages of a direction.
	Policies []Policies    `json:"policies"`
	Messages []Explanation `json:"messages"`
}

// Explanation describes the path of a message if a client publishes it on one of the sides.
type Explanation struct {
	Message
	Directions []Direction `json:"directions"`
}

// Direction is the result of a direction for a message that is published on its source.
type Direction struct {
	Direction string `json:"direction"`
	// Source and Destination are sides.
	Source      string `json:"source"`
	Destination string `json:"destination"`
	// Forwarded is whether at least one rule forwards the message.
	Forwarded bool `json:"forwarded"`
	// Message says why no rule decides on the message. It is empty if a rule does.
	Message string `json:"message,omitempty"`
	// Rules are the rules whose filter matches.
	Rules []Rule `json:"rules,omitempty"`
}

// Rule is the result of a rule for a message that its filter matches.
type Rule struct {
	Name   string `json:"name"`
	Filter string `json:"filter"`
	// Forwarded is whether the rule forwards the message. If it is false, Cause and Message say why.
	Forwarded bool   `json:"forwarded"`
	Cause     string `json:"cause,omitempty"`
	Message   string `json:"message,omitempty"`
	// Published is the message on the destination. It is nil if Forwarded is false.
	Published *Published `json:"published,omitempty"`
	// RetainHandling is the value of the rule for retained messages of the source. It is empty with
	// MQTT 3.1.1 on the source, which sends them each time that the bridge subscribes.
	RetainHandling string `json:"retainHandling,omitempty"`
	// StoredRetain is whether the rule publishes the stored message retained, which the source sends when the bridge
	// subscribes. It is nil if the message is not retained, or Forwarded is false.
	StoredRetain *bool `json:"storedRetain,omitempty"`
	// Returns are the rules of the other direction that match the published message.
	Returns []Return `json:"returns,omitempty"`
}

// Published is a message that a rule publishes.
type Published struct {
	Topic string `json:"topic"`
	// QoS is not higher than the QoS of the rule. A server that accepts only a lower QoS lowers it.
	QoS    byte `json:"qos"`
	Retain bool `json:"retain"`
	// UserProperties are the user properties that the bridge adds.
	UserProperties []v1alpha1.UserProperty `json:"userProperties,omitempty"`
}

// side is a side, with the direction whose source it is.
type side struct {
	name, direction string
	settings        *config.Side
	rules           []manifest.Rule
	other           *side
}

// decider is the part of a bridge that decides on messages.
type decider struct {
	settings *config.Settings
	sides    []*side
	// notifications is the topic of notifications, or empty.
	notifications string
}

func newDecider(settings *config.Settings) *decider {
	local := &side{name: manifest.SideLocal, direction: localToRemote, settings: &settings.Local, rules: settings.LocalToRemote}
	remote := &side{name: manifest.SideRemote, direction: remoteToLocal, settings: &settings.Remote, rules: settings.RemoteToLocal, other: local}
	local.other = remote
	return &decider{settings, []*side{local, remote}, settings.Notifications.Topic}
}

// Add explains messages for a bridge. The topics are names without wildcards (topic.IsName).
func (r *Report) Add(m *config.Manifest, messages []Message) error {
	settings, err := config.Resolve(&m.Spec)
	if err != nil {
		return err
	}
	b := newDecider(settings)
	out := Bridge{Namespace: m.Namespace, Name: m.Name}
	for _, s := range b.sides {
		if len(s.rules) > 0 {
			out.Policies = append(out.Policies, b.policies(s))
		}
	}
	for _, message := range messages {
		e := Explanation{Message: message}
		for _, s := range b.sides {
			e.Directions = append(e.Directions, b.explain(s, message))
		}
		out.Messages = append(out.Messages, e)
	}
	r.Bridges = append(r.Bridges, out)
	return nil
}

// explain explains a message that a client publishes on a side.
func (b *decider) explain(source *side, m Message) Direction {
	out := Direction{Direction: source.direction, Source: source.name, Destination: source.other.name}
	message := session.Message{Topic: m.Topic, QoS: m.QoS, Retain: m.Retain}
	search := newSearch(len(m.Topic))
	for _, d := range derive(source, &message) {
		r := b.rule(source, m.Topic, d, search)
		if r.Forwarded && m.Retain {
			r.StoredRetain = new(source.rules[d.Rule].Retain != v1alpha1.RetainClear) // a stored message has the retain flag
		}
		out.Rules = append(out.Rules, r)
		out.Forwarded = out.Forwarded || r.Forwarded
	}
	switch {
	case len(source.rules) == 0:
		out.Message = "the direction has no rules"
	case tooLarge(source, &message):
		out.Message = fmt.Sprintf("a packet with this topic is larger than maximumPacketSize of %s, which is %d bytes", source.name, source.settings.MaximumPacketSize)
	case len(out.Rules) == 0:
		out.Message = "no rule matches the topic; the filters are " + filters(source.rules)
	}
	return out
}

// derive returns the results of the rules whose filters match a message that the servers of a side send. It
// returns nil if the bridge does not accept the message.
func derive(from *side, m *session.Message) []delivery.Derived {
	if tooLarge(from, m) {
		return nil
	}
	return delivery.Derive(from.rules, inbound(from, m))
}

// tooLarge reports whether the packet of a message exceeds the limit of a side, even at QoS 0 and without a payload.
func tooLarge(from *side, m *session.Message) bool {
	p := inbound(from, m).Publish
	p.QoS = 0
	return packet.SizePublish(from.settings.Version, &p) > from.settings.MaximumPacketSize
}

// inbound returns a message as the bridge receives it from the servers of a side. A server of MQTT
// 3.1.1 without the bridge flag clears the retain flag of a message that was not stored before
// (section 3.3.1.3), and MQTT 3.1.1 has no properties.
func inbound(from *side, m *session.Message) *session.Inbound {
	in := &session.Inbound{Publish: packet.Publish{Topic: m.Topic, QoS: m.QoS, Retain: m.Retain && from.settings.BridgeFlag}}
	if from.settings.Version == packet.V5 {
		in.Retain, in.Properties = m.Retain, m.Properties
	}
	return in
}

// rule explains the result of a rule for a topic.
func (b *decider) rule(source *side, topic string, d delivery.Derived, search *search) Rule {
	r := &source.rules[d.Rule]
	out := Rule{Name: r.Name, Filter: r.Filter.String(), Forwarded: d.Cause == "", Cause: d.Cause}
	if source.settings.Version == packet.V5 {
		out.RetainHandling = string(r.RetainHandling)
	}
	if !out.Forwarded {
		out.Message = b.why(r, topic, d.Cause)
		return out
	}
	out.Published = &Published{Topic: d.Message.Topic, QoS: d.Message.QoS, Retain: d.Message.Retain, UserProperties: userProperties(d.Message.Properties)}
	out.Returns = b.returns(source.other, &d.Message, search)
	return out
}

// why explains the cause for which a rule does not forward a message.
func (b *decider) why(r *manifest.Rule, topic, cause string) string {
	switch cause {
	case delivery.DropExcluded:
		for i := range r.Exclude {
			switch {
			case !r.Exclude[i].Match(topic):
			case i == len(r.Exclude)-1 && b.notifications != "": // manifest.Directions adds it
				return fmt.Sprintf("the bridge publishes its notifications on %q (notifications.topic), and forwards none", b.notifications)
			default:
				return fmt.Sprintf("the rule excludes it: exclude has %q", r.Exclude[i])
			}
		}
	case delivery.DropInvalidTopic:
		return "the topic of the rule makes no valid topic of it: the result is empty or too long, or a placeholder makes it begin with $"
	case delivery.DropTooManyHops:
		return "the message has passed delivery.maxHops: " + count.Of(r.MaxHops, "bridge")
	}
	return cause
}

func userProperties(p *packet.Properties) []v1alpha1.UserProperty {
	if p == nil {
		return nil
	}
	var out []v1alpha1.UserProperty
	for name, value := range p.User.All() {
		out = append(out, v1alpha1.UserProperty{Name: name, Value: value})
	}
	return out
}

// filters lists the filters of rules.
func filters(rules []manifest.Rule) string {
	quoted := make([]string, len(rules))
	for i := range rules {
		quoted[i] = fmt.Sprintf("%q", rules[i].Filter)
	}
	return strings.Join(slices.Compact(quoted), ", ")
}
