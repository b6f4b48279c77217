// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/explain"
	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/report"
	"github.com/mqttbridge/mqttbridge-operator/internal/manifest"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// The tests of this file compare the command explain with a bridge: random manifests, and messages
// with random topics through a bridge between two servers that know nothing about rules.

var (
	explainManifests = flag.Int("explain-manifests", 50, "the number of random manifests for which explain is compared with a bridge")
	explainSeed      = flag.Uint64("explain-seed", 1, "the first seed of the random manifests")
)

func TestExplain_RandomManifests_BridgeForwardsAsExplained(t *testing.T) {
	valid := 0
	for i := range *explainManifests {
		seed := *explainSeed + uint64(i)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			if compareWithBridge(t, randomChoices(seed)) {
				valid++
			}
		})
	}
	if valid < *explainManifests/2 {
		t.Errorf("only %d of %d manifests are valid", valid, *explainManifests)
	}
}

func FuzzExplain_RandomManifests_BridgeForwardsAsExplained(f *testing.F) {
	for seed := range uint64(8) {
		f.Add([]byte(*randomChoices(seed)))
	}
	f.Fuzz(func(t *testing.T, data []byte) { compareWithBridge(t, (*choices)(&data)) })
}

// choices are bytes that decide on the manifest and the messages. After the last byte, each choice is the first one.
type choices []byte

func randomChoices(seed uint64) *choices {
	const size = 400
	r := rand.New(rand.NewPCG(seed, seed))
	out := make(choices, 0, size)
	for len(out) < size {
		out = binary.LittleEndian.AppendUint64(out, r.Uint64())
	}
	return &out
}

// n returns a number from 0 to below limit.
func (c *choices) n(limit int) int {
	if len(*c) == 0 {
		return 0
	}
	first := int((*c)[0])
	*c = (*c)[1:]
	return first % limit
}

func oneOf[T any](c *choices, values ...T) T { return values[c.n(len(values))] }

// maybe returns one of the values, or nil.
func maybe[T any](c *choices, values ...T) *T {
	if i := c.n(len(values) + 1); i > 0 {
		return &values[i-1]
	}
	return nil
}

// level returns a level of a topic.
func (c *choices) level() string {
	return oneOf(c, "a", "b", "a", "b", "c", "", "up", "ü/", "日本", "$x", "a b", "\u200b", "\x01", ".*", "x")
}

func (c *choices) filter() string {
	levels := make([]string, 1+c.n(3))
	for i := range levels {
		levels[i] = c.level()
		if c.n(3) == 0 {
			levels[i] = "+"
		}
	}
	if c.n(2) == 0 {
		levels[len(levels)-1] = "#"
	}
	return oneOf(c, "", "", "", "", "", "", "$SYS/", "$exclusive/") + strings.Join(levels, "/")
}

// template returns the topic of a rule.
func (c *choices) template(filter string) string {
	wildcards := strings.Count(filter, "+") + strings.Count(filter, "#")
	placeholder := func() string {
		if wildcards == 0 || c.n(4) == 0 {
			return "${topic}"
		}
		return fmt.Sprintf("${%d}", 1+c.n(wildcards))
	}
	switch c.n(8) {
	case 0:
		return placeholder()
	case 1:
		return c.level() + "/" + placeholder()
	case 2:
		return placeholder() + "/" + placeholder()
	case 3:
		return c.level() + placeholder() + c.level()
	case 4:
		return c.level() + "/" + c.level()
	case 5:
		return "$SYS/" + placeholder()
	}
	return "" // the topic of the message
}

func (c *choices) rules(from, to v1alpha1.ProtocolVersion) (out []v1alpha1.Rule) {
	for i := range c.n(4) {
		filter := c.filter()
		r := v1alpha1.Rule{
			Name: fmt.Sprint("r", i), Filter: filter, Topic: c.template(filter), QoS: maybe[int32](c, 0, 1, 2),
			Retain: maybe(c, v1alpha1.RetainKeep, v1alpha1.RetainClear, v1alpha1.RetainSet),
		}
		for range max(0, c.n(4)-1) {
			r.Exclude = append(r.Exclude, strings.TrimPrefix(c.filter(), "$exclusive/"))
		}
		if from == v1alpha1.ProtocolVersion5 {
			r.RetainHandling = maybe(c, v1alpha1.RetainHandlingSend, v1alpha1.RetainHandlingDoNotSend)
		}
		if to == v1alpha1.ProtocolVersion5 && c.n(4) == 0 {
			r.UserProperties = []v1alpha1.UserProperty{{Name: "rule", Value: r.Name}, {Name: "ü", Value: ""}}
		}
		out = append(out, r)
	}
	return out
}

// bridge returns a manifest without the addresses of the servers.
func (c *choices) bridge() *v1alpha1.MQTTBridge {
	b := manifestOf("test", "explained", "", "").MQTTBridge
	b.APIVersion, b.Kind = v1alpha1.GroupVersion.String(), "MQTTBridge"
	b.Spec = v1alpha1.MQTTBridgeSpec{Runner: &v1alpha1.Runner{LogLevel: "error"}}
	for _, s := range []*v1alpha1.Side{&b.Spec.Local, &b.Spec.Remote} {
		s.ProtocolVersion = ptr.To(oneOf(c, v1alpha1.ProtocolVersion5, v1alpha1.ProtocolVersion311))
		s.BridgeMode = maybe(c, v1alpha1.BridgeModeOff, v1alpha1.BridgeModeAuto)
		if c.n(6) == 0 {
			s.MaximumPacketSize = ptr.To(resource.MustParse("1Ki"))
		}
	}
	local, remote := *b.Spec.Local.ProtocolVersion, *b.Spec.Remote.ProtocolVersion
	b.Spec.LocalToRemote, b.Spec.RemoteToLocal = c.rules(local, remote), c.rules(remote, local)
	if local == v1alpha1.ProtocolVersion5 && remote == v1alpha1.ProtocolVersion5 && c.n(4) == 0 {
		b.Spec.Delivery = &v1alpha1.Delivery{MaxHops: ptr.To[int32](oneOf[int32](c, 1, 2, 3, 5))}
	}
	if c.n(4) == 0 {
		b.Spec.Notifications = &v1alpha1.Notifications{Topic: c.level() + "/" + c.level()}
	}
	return b
}

// topics returns topics of messages, without duplicates.
func (c *choices) topics(b *v1alpha1.MQTTBridge) []string {
	var out []string
	for _, r := range slices.Concat(b.Spec.LocalToRemote, b.Spec.RemoteToLocal) { // topics that the filters match
		levels := strings.Split(strings.TrimPrefix(r.Filter, "$exclusive/"), "/")
		for i := range levels {
			switch levels[i] {
			case "+":
				levels[i] = c.level()
			case "#":
				levels[i] = oneOf(c, c.level(), c.level()+"/"+c.level(), "")
			}
		}
		full := strings.Join(levels, "/")
		out = append(out, full, strings.TrimSuffix(full, "/"), "$"+full)
	}
	for range 3 {
		out = append(out, c.level(), c.level()+"/"+c.level(), c.level()+"/"+c.level()+"/"+c.level())
	}
	const longest = 65535
	if c.n(4) == 0 {
		out = append(out, "a/"+strings.Repeat("x", longest-2), strings.Repeat("/", longest), "a/"+strings.Repeat("b", 900), "b/"+strings.Repeat("x", 1100))
	}
	if b.Spec.Notifications != nil {
		out = append(out, b.Spec.Notifications.Topic)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(s string) bool { return s == "" || strings.HasPrefix(s, "$explain") })
}

// explainWorld is a bridge between two servers.
type explainWorld struct {
	t        *testing.T
	manifest *config.Manifest
	brokers  map[string]*explainBroker // by side
	instance *instance
	// matched counts the expected results of rules, by direction, rule and result.
	matched map[string]float64
}

// newExplainWorld starts a bridge between two servers that change makes ready. It returns nil with the errors of the
// manifest if it is invalid.
func newExplainWorld(t *testing.T, b *v1alpha1.MQTTBridge, change func(*explainBroker)) (w *explainWorld, problems error) {
	w = &explainWorld{t: t, brokers: map[string]*explainBroker{}, matched: map[string]float64{}}
	for name, side := range map[string]*v1alpha1.Side{manifest.SideLocal: &b.Spec.Local, manifest.SideRemote: &b.Spec.Remote} {
		broker := startExplainBroker(t, map[v1alpha1.ProtocolVersion]byte{v1alpha1.ProtocolVersion311: 4, v1alpha1.ProtocolVersion5: 5}[*side.ProtocolVersion])
		change(broker)
		side.Primary.URL = "mqtt://" + broker.listener.Addr()
		w.brokers[name] = broker
	}
	data, err := yaml.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	m, errs, err := config.Check(data)
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	w.manifest = m
	if want := b.WithDefaults().Spec; !reflect.DeepEqual(want.LocalToRemote, m.Spec.LocalToRemote) || !reflect.DeepEqual(want.RemoteToLocal, m.Spec.RemoteToLocal) {
		t.Fatalf("the rules differ after they were written and read:\n%s", data)
	}
	w.instance, err = newInstance(m, setup{secrets: config.NewSecrets(t.TempDir()), metrics: report.NewMetrics()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_, _ = w.instance.run(ctx) // it ends with the test
	}()
	t.Cleanup(func() { cancel(); <-stopped })
	for start := time.Now(); ; time.Sleep(100 * time.Microsecond) {
		if s := w.instance.state.Status(); s.Local.Active != nil && s.Remote.Active != nil {
			return w, nil
		}
		if time.Since(start) > script.Timeout {
			t.Fatalf("the bridge does not connect:\n%s", data)
		}
	}
}

// explain returns the explanation of a message that a client publishes on a side.
func (w *explainWorld) explain(side string, m explain.Message) *explain.Direction {
	w.t.Helper()
	var r explain.Report
	if err := r.Add(w.manifest, []explain.Message{m}); err != nil {
		w.t.Fatal(err)
	}
	for _, d := range r.Bridges[0].Messages[0].Directions {
		if d.Source == side {
			return &d
		}
	}
	w.t.Fatalf("no direction begins at the side %s", side)
	return nil
}

// arrival describes a message that the bridge publishes on a side. echoes is the number of times that a server
// has sent the message back before.
func arrival(side string, echoes int, topic string, qos byte, retain bool, properties []v1alpha1.UserProperty) string {
	if len(topic) > 100 {
		topic = fmt.Sprint(topic[:20], "... of ", len(topic), " bytes")
	}
	return fmt.Sprintf("%s echoes=%d %q qos=%d retain=%t %q", side, echoes, topic, qos, retain, properties)
}

const maxExplainedEchoes = 20

// expect returns the messages that explain expects for a message that a client publishes on a side, with the messages
// that come back, and the messages that these become.
func (w *explainWorld) expect(side string, m explain.Message, echoes int) (out []string) {
	d := w.explain(side, m)
	for i := range d.Rules {
		r := &d.Rules[i]
		w.matched[fmt.Sprint(d.Direction, " ", r.Name, " ", cmp.Or(r.Cause, "routed"))]++
		if r.Forwarded != (r.Published != nil) || r.Forwarded != (r.Cause == "") {
			w.t.Errorf("%+v contradicts itself", r)
		}
		if !r.Forwarded {
			continue
		}
		out = append(out, arrival(d.Destination, echoes, r.Published.Topic, r.Published.QoS, r.Published.Retain, r.Published.UserProperties))
		sentBack := w.brokers[d.Destination].sendsBack()
		for _, back := range r.Returns {
			if back.PreventedBy != explain.PreventedByRule && (back.PreventedBy == explain.PreventedByNothing) != sentBack {
				w.t.Errorf("the servers of %s send messages back: %t, explained is %+v", d.Destination, sentBack, back)
			}
		}
		if !sentBack {
			continue
		}
		if echoes == maxExplainedEchoes {
			w.t.Errorf("%q circulates", m.Topic)
			continue
		}
		next := explain.Message{Topic: r.Published.Topic, QoS: r.Published.QoS, Retain: r.Published.Retain}
		w.wantReturns(d.Destination, next, r.Returns)
		out = append(out, w.expect(d.Destination, next, echoes+1)...)
	}
	return out
}

// wantReturns fails unless the returns of a published message are the results of the rules for the same message of a
// client.
func (w *explainWorld) wantReturns(side string, m explain.Message, got []explain.Return) {
	var want []explain.Return
	for _, r := range w.explain(side, m).Rules {
		back := explain.Return{Rule: r.Name, PreventedBy: explain.PreventedByRule}
		if r.Forwarded {
			back = explain.Return{Rule: r.Name, Topic: r.Published.Topic, QoS: r.Published.QoS, PreventedBy: explain.PreventedByNothing}
		}
		want = append(want, back)
	}
	same := func(a, b explain.Return) bool {
		return a.Rule == b.Rule && a.Topic == b.Topic && a.QoS == b.QoS && a.PreventedBy == b.PreventedBy
	}
	if !slices.EqualFunc(got, want, same) {
		w.t.Errorf("%+v published on %s returns as %+v, want %+v", m, side, got, want)
	}
}

// published returns the messages with a payload that the bridge has published since the last call.
func (w *explainWorld) published(payload string) (out []string) {
	for side, b := range w.brokers {
		for _, p := range b.take() {
			own, marks, _ := strings.Cut(p.Payload, echoMark)
			if own != payload {
				continue
			}
			echoes := 0
			if marks != "" || strings.HasSuffix(p.Payload, echoMark) {
				echoes = 1 + len(marks)
			}
			out = append(out, arrival(side, echoes, p.Topic, p.QoS, p.Retain, userPropertiesOf(p)))
		}
	}
	return out
}

func userPropertiesOf(p script.Packet) (out []v1alpha1.UserProperty) {
	if p.Properties == nil {
		return nil
	}
	for _, u := range p.Properties.User {
		out = append(out, v1alpha1.UserProperty{Name: u.Key, Value: u.Value})
	}
	return out
}

// settle waits until no message is on its way, after a message was published on a side.
func (w *explainWorld) settle(side string) {
	from, to := w.brokers[side], w.brokers[map[string]string{manifest.SideLocal: manifest.SideRemote, manifest.SideRemote: manifest.SideLocal}[side]]
	for before := -1; ; {
		for range 2 { // a message that was sent back to the bridge arrives at the other broker before the second round ends
			from.sync()
			to.sync()
		}
		n := from.count() + to.count()
		if n == before {
			return
		}
		before = n
	}
}

// compareWithBridge compares explain with a bridge. It returns false if the manifest is invalid.
func compareWithBridge(t *testing.T, c *choices) bool {
	b := c.bridge()
	topics := c.topics(b)
	var stored []explain.Message
	for range max(0, c.n(6)-3) {
		stored = append(stored, explain.Message{Topic: oneOf(c, topics...), QoS: byte(1 + c.n(2)), Retain: true})
	}
	w, problems := newExplainWorld(t, b, func(broker *explainBroker) {
		for i, m := range stored {
			broker.stored = append(broker.stored, script.Packet{Type: v5.PUBLISH, Topic: m.Topic, QoS: m.QoS, Payload: fmt.Sprint(explainStored, i)})
		}
		broker.perSubscription, broker.withoutIDs = c.n(3) == 0, c.n(3) == 0
		broker.perSubscription = broker.perSubscription && !broker.withoutIDs && broker.version == 5
	})
	if problems != nil {
		t.Log(problems)
		return false
	}
	w.compareStored(stored)
	for i, topic := range topics {
		m := explain.Message{Topic: topic, QoS: byte(c.n(3)), Retain: c.n(2) == 0}
		for _, side := range []string{manifest.SideLocal, manifest.SideRemote} {
			payload := fmt.Sprint(explainPayload, side, i)
			want := w.expect(side, m, 0)
			w.brokers[side].publish(m.Topic, payload, m.QoS, m.Retain)
			w.settle(side)
			got := w.published(payload)
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				data, _ := yaml.Marshal(w.manifest.Spec)
				t.Fatalf("%.200q at QoS %d, retain %t, published on %s: the bridge publishes\n%s\nexplained is\n%s\n%s\nlocal: %v\nremote: %v", m.Topic, m.QoS, m.Retain, side,
					strings.Join(got, "\n"), strings.Join(want, "\n"), data, w.brokers[manifest.SideLocal], w.brokers[manifest.SideRemote])
			}
		}
	}
	if got := w.ruleMessages(); len(stored) == 0 && !maps.Equal(got, w.matched) {
		t.Errorf("the bridge has counted %v, explained is %v", got, w.matched)
	}
	return true
}

// The servers send all messages of the bridge back to it, although it asks them not to.
func TestExplain_ServersSendEverythingBack_MessagesReturnAsExplained(t *testing.T) {
	endless := 0
	for i := range *explainManifests {
		seed := *explainSeed + uint64(i)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { endless += compareReturns(t, randomChoices(seed)) })
	}
	if endless == 0 {
		t.Error("no message circulates")
	}
}

func FuzzExplain_ServersSendEverythingBack_MessagesReturnAsExplained(f *testing.F) {
	for seed := range uint64(8) {
		f.Add([]byte(*randomChoices(seed)))
	}
	f.Fuzz(func(t *testing.T, data []byte) { compareReturns(t, (*choices)(&data)) })
}

var loopTopic = regexp.MustCompile(`^(localToRemote|remoteToLocal)\[\d+\] \(filter .*?\) publishes ("(?:[^"\\]|\\.)*") as "`)

// topicInLoop returns a topic, and the side on which a message with it begins to circulate, according to the loop for which
// a manifest is refused. The topic is empty if there is no loop, or its topic is not shown in full.
func topicInLoop(t *testing.T, s *v1alpha1.MQTTBridgeSpec) (topic, side string) {
	loop := manifest.FindLoop(s)
	if loop == nil {
		return "", ""
	}
	found := loopTopic.FindStringSubmatch(loop.String())
	if found == nil {
		t.Fatalf("no topic is found in %s", loop)
	}
	topic, err := strconv.Unquote(found[2])
	if err != nil {
		t.Fatal(err)
	}
	small := s.Local.MaximumPacketSize.Value() == 1<<10 || s.Remote.MaximumPacketSize.Value() == 1<<10
	if strings.HasSuffix(topic, "...") || small { // a topic that becomes longer ends at the limit
		return "", ""
	}
	return topic, map[string]string{report.LocalToRemote: manifest.SideLocal, report.RemoteToLocal: manifest.SideRemote}[found[1]]
}

const (
	// maxReturns is the number of times that each message is sent back. A message that is sent back more often
	// circulates: the topics are too short to become shorter so often.
	maxReturns = 40
	// maxSentBack is the number of messages that are sent back for a message of a client.
	maxSentBack = 400
	// longTopic is the size in bytes of a topic that becomes longer with each round.
	longTopic = 8192
)

// compareReturns compares the returns of messages in explain with a bridge whose servers send everything back. It returns
// the number of messages that circulate.
func compareReturns(t *testing.T, c *choices) (endless int) {
	b := c.bridge()
	b.Spec.Local.BridgeMode, b.Spec.Remote.BridgeMode = nil, nil // otherwise loops are refused
	topics := c.topics(b)
	w, problems := newExplainWorld(t, b, func(broker *explainBroker) { broker.maxEchoes = maxReturns })
	if problems != nil {
		t.Log(problems)
		return 0
	}
	settings, err := config.Resolve(&w.manifest.Spec)
	if err != nil {
		t.Fatal(err)
	}
	inLoop, loopSide := topicInLoop(t, &w.manifest.Spec)
	for i := range 8 {
		m := explain.Message{Topic: oneOf(c, topics...), QoS: byte(c.n(3)), Retain: c.n(2) == 0}
		side := oneOf(c, manifest.SideLocal, manifest.SideRemote)
		if i == 0 && inLoop != "" {
			m.Topic, side = inLoop, loopSide
		}
		payload := fmt.Sprint(explainPayload, side, i)
		var want []string
		isEndless := false
		for _, r := range w.explain(side, m).Rules {
			for _, back := range r.Returns {
				if back.Topic != "" {
					want = append(want, fmt.Sprintf("%.100q at QoS %d", back.Topic, back.QoS))
				}
				isEndless = isEndless || back.Endless
			}
		}
		for _, broker := range w.brokers {
			broker.setBudget(maxSentBack)
		}
		w.brokers[side].publish(m.Topic, payload, m.QoS, m.Retain)
		w.settle(side)
		var got []string
		rounds, grows := 0, false
		for at, broker := range w.brokers {
			for _, p := range broker.take() {
				if !strings.HasPrefix(p.Payload, payload) {
					continue
				}
				echoes := strings.Count(p.Payload, echoMark)
				if rounds, grows = max(rounds, echoes), grows || len(p.Topic) > longTopic && len(p.Topic) > len(m.Topic); echoes == 1 && at == side {
					got = append(got, fmt.Sprintf("%.100q at QoS %d", p.Topic, p.QoS))
				}
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		want, got = slices.Compact(want), slices.Compact(got) // the broker sends equal messages back once
		circulates := rounds == maxReturns || grows
		undecided := !circulates && w.brokers[manifest.SideLocal].budgetSpent() || w.brokers[manifest.SideRemote].budgetSpent()
		if !slices.Equal(got, want) || isEndless != circulates && !undecided {
			data, _ := yaml.Marshal(w.manifest.Spec)
			t.Fatalf("%.200q at QoS %d, retain %t, published on %s: returns as\n%s\nexplained is\n%s\ncirculates: %t after %d returns, explained is %t\n%s", m.Topic, m.QoS, m.Retain, side,
				strings.Join(got, "\n"), strings.Join(want, "\n"), circulates, rounds, isEndless, data)
		}
		if i == 0 && inLoop != "" && !isEndless {
			t.Errorf("%q does not circulate, but it is in a loop: %v", inLoop, manifest.FindLoop(&w.manifest.Spec))
		}
		if isEndless && !settings.Loop {
			t.Errorf("%.200q circulates, but the rules form no loop: %+v", m.Topic, b.Spec)
		}
		if isEndless {
			endless++
		}
	}
	return endless
}

// explainStored is the beginning of the payload of retained messages.
const explainStored = "stored "

// compareStored compares explain with the messages that the bridge has published for the retained messages of both
// servers.
func (w *explainWorld) compareStored(stored []explain.Message) {
	if len(stored) == 0 {
		return
	}
	w.settle(manifest.SideLocal)
	w.settle(manifest.SideRemote)
	published := map[string][]script.Packet{}
	for side, b := range w.brokers {
		published[side] = b.take()
	}
	for i, m := range stored {
		for _, side := range []string{manifest.SideLocal, manifest.SideRemote} {
			d := w.explain(side, m)
			var required, allowed, got []string
			for j := range d.Rules {
				r := &d.Rules[j]
				if !r.Forwarded {
					continue
				}
				a := arrival(d.Destination, 0, r.Published.Topic, r.Published.QoS, *r.StoredRetain, r.Published.UserProperties)
				allowed = append(allowed, a)
				// Another rule may have the same subscription. At QoS 0, a message is dropped if the other side is not connected yet.
				if r.RetainHandling != string(v1alpha1.RetainHandlingDoNotSend) && r.Published.QoS > 0 {
					required = append(required, a)
				}
			}
			for _, p := range published[d.Destination] {
				if p.Payload == fmt.Sprint(explainStored, i) {
					got = append(got, arrival(d.Destination, 0, p.Topic, p.QoS, p.Retain, userPropertiesOf(p)))
				}
			}
			missing := slices.DeleteFunc(slices.Clone(required), func(a string) bool { return slices.Contains(got, a) })
			wrong := slices.DeleteFunc(slices.Clone(got), func(a string) bool { return slices.Contains(allowed, a) })
			if len(missing)+len(wrong) > 0 {
				data, _ := yaml.Marshal(w.manifest.Spec)
				w.t.Fatalf("%.200q is stored on %s: missing %q, not explained %q\n%s", m.Topic, side, missing, wrong, data)
			}
		}
	}
}

// ruleMessages returns the results of the rules that the bridge has counted.
func (w *explainWorld) ruleMessages() map[string]float64 {
	registry := prometheus.NewRegistry()
	registry.MustRegister(w.instance.metrics)
	families, err := registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		if f.GetName() != "mqttbridge_rule_messages_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			labels := map[string]string{}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			if n := m.GetCounter().GetValue(); n > 0 {
				out[labels["direction"]+" "+labels["rule"]+" "+labels["result"]] = n
			}
		}
	}
	return out
}
