// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package explain

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/config"
)

// text explains a message of QoS 2 for a bridge with this spec, whose sides have the given settings.
func text(t *testing.T, local, remote, rest string, m Message) string {
	t.Helper()
	data := "{apiVersion: mqttbridge.io/v1alpha1, kind: MQTTBridge, metadata: {name: b}, spec: {" +
		"local: {primary: {url: 'mqtt://local'}" + local + "}, remote: {primary: {url: 'mqtt://remote'}" + remote + "}, " + rest + "}}"
	bridge, problems, err := config.Check([]byte(data))
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	var report Report
	if err := report.Add(bridge, []Message{m}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := report.WriteText(&out); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

const (
	five = ", protocolVersion: '5'"
	off  = ", bridgeMode: 'Off'"
)

func TestExplain_Topic_SaysWhatTheRulesDo(t *testing.T) {
	const both = "localToRemote: [{filter: 'up/#'}, {filter: 'up/+', topic: 'copy/${1}', qos: 0, retain: Set}], remoteToLocal: [{filter: 'down/#'}]"
	for _, c := range []struct {
		name                string
		local, remote, rest string
		m                   Message
		want                []string
		absent              string
	}{
		{"two rules", "", "", both, Message{"up/a", 2, false}, []string{
			`published on local (localToRemote): forwarded to remote`,
			`rule "up/#" publishes "up/a" at QoS 1, not retained`,
			`rule "up/+" publishes "copy/a" at QoS 0, retained`,
			`published on remote (remoteToLocal): not forwarded: no rule matches the topic; the filters are "down/#"`,
		}, "back"},
		{"lower QoS", "", "", both, Message{"up/a", 0, false}, []string{`publishes "up/a" at QoS 0`}, "back"},
		{"retained", "", "", both, Message{"up/a", 1, true}, []string{`publishes "up/a" at QoS 1, retained`}, "back"},
		{"retain handling", five, "", both, Message{"up/a", 1, true}, []string{"the source sends the stored message by retainHandling: SendIfNew"}, "back"},
		{"retained without bridge flag", off, "", both, Message{"up/a", 1, true}, []string{
			`publishes "up/a" at QoS 1, not retained`, "the source sends the stored message each time that the bridge subscribes; the rule publishes it retained",
		}, "retainHandling"},
		{"retained and cleared", off, "", "localToRemote: [{filter: a, retain: Clear}]", Message{"a", 1, true}, []string{"each time that the bridge subscribes; the rule publishes it not retained"}, "back"},
		{"no rules", "", "", "localToRemote: [{filter: a}]", Message{"a", 1, false}, []string{"published on remote (remoteToLocal): not forwarded: the direction has no rules"}, "back"},
		{"excluded", "", "", "localToRemote: [{filter: 'a/#', exclude: ['b', 'a/+']}]", Message{"a/x", 1, false}, []string{
			"published on local (localToRemote): not forwarded\n", `rule "a/#" does not forward it (excluded): the rule excludes it: exclude has "a/+"`,
		}, "publishes"},
		{"notification", "", "", "localToRemote: [{filter: 'a/#', exclude: ['b']}], notifications: {topic: a/state}", Message{"a/state", 1, false}, []string{
			`(excluded): the bridge publishes its notifications on "a/state" (notifications.topic), and forwards none`,
		}, `rule "a/#" publishes`},
		{"invalid topic", "", "", "localToRemote: [{filter: 'up/#', topic: '${1}', name: strip}]", Message{"up/$SYS/x", 1, false}, []string{
			`rule "strip" (filter "up/#") does not forward it (invalid_topic): the topic of the rule makes no valid topic of it`,
		}, "publishes"},
		{"user properties and hops", five, five, "delivery: {maxHops: 3}, localToRemote: [{filter: a, userProperties: [{name: site, value: x}]}]", Message{"a", 1, false}, []string{
			"with the user property mqttbridge-hops=1", "with the user property site=x", "a message that has passed 3 bridges is dropped",
		}, "back"},
		{"No Local", "", five, "localToRemote: [{filter: 'a/#', topic: 'x/${topic}'}], remoteToLocal: [{filter: 'x/#', topic: '${1}'}]", Message{"a/b", 1, false}, []string{
			`could come back as "a/b" by the rule "x/#", again and again, and does not: the servers of remote do not send the bridge's own messages back, because it subscribes with the option No Local of MQTT 5`,
		}, "bridge flag"},
		{"bridge flag and a loop", "", "", "localToRemote: [{filter: 'a/#'}], remoteToLocal: [{filter: 'a/#'}]", Message{"a/b", 1, false}, []string{
			`could come back as "a/b" by the rule "a/#", again and again, and does not: the servers of remote`, "the bridge does not use a server that refuses the flag",
			`could come back as "a/b" by the rule "a/#", again and again, and does not: the servers of local`,
		}, "No Local"},
		{"bridge flag without a loop", "", "", "localToRemote: [{filter: 'a/#'}], remoteToLocal: [{filter: 'a/#', topic: 'back/${1}'}]", Message{"a/b", 1, false}, []string{
			`could come back as "back/b" by the rule "a/#", and does not`, "a server that refuses the flag sends them back",
		}, "again"},
		{"nothing prevents it", "", off, "localToRemote: [{filter: 'a/#'}], remoteToLocal: [{filter: 'a/#', topic: 'back/${1}'}]", Message{"a/b", 1, false}, []string{
			`comes back as "back/b" by the rule "a/#": with MQTT 3.1.1 and bridgeMode: Off, the servers of remote send the bridge's own messages back`,
		}, "again"},
		{"the other rule excludes it", "", off, "localToRemote: [{filter: 'a/#'}], remoteToLocal: [{filter: '#', exclude: ['a/#']}]", Message{"a/b", 1, false}, []string{
			`does not come back by the rule "#": the rule excludes it: exclude has "a/#"`,
		}, "again"},
		{"a growing topic", five, five, "localToRemote: [{filter: '#', topic: 'x/${topic}'}], remoteToLocal: [{filter: '#', topic: 'y/${topic}'}]", Message{"a", 1, false}, []string{
			`could come back as "y/x/a" by the rule "#", again and again`,
		}, "comes back"},
		{"hops end a loop", five, five, "delivery: {maxHops: 2}, localToRemote: [{filter: '#'}], remoteToLocal: [{filter: '#'}]", Message{"a", 1, false}, []string{
			`could come back as "a" by the rule "#", and does not`,
		}, "again and again"},
		{"many hops end a loop", five, five, "delivery: {maxHops: 255}, localToRemote: [{filter: '#'}], remoteToLocal: [{filter: '#'}]", Message{"a", 1, false}, []string{
			`could come back as "a" by the rule "#", and does not`,
		}, "again and again"},
		{"a topic of many levels that shrinks", "", "", "localToRemote: [{filter: '+/#', topic: '${2}'}], remoteToLocal: [{filter: '+/#', topic: '${2}'}]", Message{strings.Repeat("x/", 400), 1, false}, []string{
			"by the rule \"+/#\", and does not",
		}, "again and again"},
		{"a topic that doubles", "", "", "localToRemote: [{filter: '#', topic: '${topic}/${topic}'}], remoteToLocal: [{filter: '#'}]", Message{"a", 1, false}, []string{
			`could come back as "a/a" by the rule "#", again and again`,
		}, "comes back"},
		{"a topic that is too large", ", maximumPacketSize: 1Ki", "", "localToRemote: [{filter: '#'}]", Message{strings.Repeat("x", 1021), 1, false}, []string{
			"published on local (localToRemote): not forwarded: a packet with this topic is larger than maximumPacketSize of local, which is 1024 bytes",
		}, "publishes"},
		{"the largest topic", ", maximumPacketSize: 1Ki", "", "localToRemote: [{filter: '#'}]", Message{strings.Repeat("x", 1019), 1, false}, []string{
			"forwarded to remote",
		}, "larger"},
		{"user properties that MQTT 3.1.1 does not carry", five + ", maximumPacketSize: 1Ki", "", "localToRemote: [{filter: '+/+/#', topic: '${topic}/${1}'}], remoteToLocal: [{filter: '+/#', userProperties: [{name: site, value: x}]}]", Message{"a/b", 1, false}, []string{
			`could come back as "a/b/a" by the rule "+/#", again and again`,
		}, "comes back"},
		{"a topic that is too large to come back", "", ", maximumPacketSize: 1Ki", "localToRemote: [{filter: '#'}], remoteToLocal: [{filter: '#', topic: 'y/${1}'}]", Message{strings.Repeat("x", 1100), 1, false}, []string{
			"forwarded to remote",
		}, "back"},
		{"policies", "", "", "localToRemote: [{filter: a}], buffer: {qos0WhenDown: Buffer, memory: {size: 4Mi}, disk: {size: 1Gi, messageTTLSeconds: 60}}, delivery: {unforwardable: {deadLetter: {topic: dead}}}", Message{"a", 1, false}, []string{
			"limits of localToRemote: packets of up to 32Mi; up to 4Mi wait in memory, and up to about 922Mi on disk for at most 60 s (when full: Block); QoS 0 messages are kept while the destination is down; a message that no server accepts is dropped, and published on the source as \"dead\"\n",
		}, "remoteToLocal: packets"},
		{"the same limits", "", "", both, Message{"up/a", 1, false}, []string{
			"limits of both directions: packets of up to 32Mi; up to 8Mi wait in memory; QoS 0 messages are dropped while the destination is down; a message that no server accepts is dropped\n",
		}, "limits of localToRemote"},
		{"different limits", "", ", maximumPacketSize: 1Mi", both + ", delivery: {unforwardable: {policy: Block}}", Message{"up/a", 1, false}, []string{
			"limits of localToRemote: packets of up to 32Mi;", "limits of remoteToLocal: packets of up to 1Mi;", "a message that no server accepts blocks the direction\n",
		}, "both directions"},
	} {
		got := text(t, c.local, c.remote, c.rest, c.m)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s:\n%s\nwant %s", c.name, got, want)
			}
		}
		if strings.Contains(got, c.absent) {
			t.Errorf("%s:\n%s\nmust not contain %s", c.name, got, c.absent)
		}
	}
}

// The number of the ways of a message doubles with each step. None of them is a loop.
func TestExplain_ManyWays_ReturnsWithin5Seconds(t *testing.T) {
	var rules []string
	for i := range 8 {
		rules = append(rules, fmt.Sprintf("{filter: '+/+/#', topic: '${1}${2}%d/${3}', name: r%d}", i, i))
	}
	all := strings.Join(rules, ", ")
	start := time.Now()
	got := text(t, "", "", "localToRemote: ["+all+"], remoteToLocal: ["+all+"]", Message{strings.Repeat("x/", 40), 1, false})
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if strings.Contains(got, "again and again") {
		t.Errorf("%s", got)
	}
}

// A message that reaches the same topic on two ways does not circulate for that reason.
func TestExplain_TwoWaysToOneTopic_AreNoLoop(t *testing.T) {
	got := text(t, "", off, "localToRemote: [{filter: a, topic: b, name: '1'}, {filter: a, topic: c, name: '2'}], remoteToLocal: [{filter: b, topic: d}, {filter: c, topic: d}]", Message{"a", 1, false})
	if strings.Contains(got, "again") || strings.Count(got, `comes back as "d"`) != 2 {
		t.Error(got)
	}
}

func TestExplain_ControlCharactersFromManifest_AreEscaped(t *testing.T) {
	const property = "{name: \"\\u009b1\", value: \"\\u202e2\"}"
	got := text(t, five, five, "localToRemote: [{filter: a, userProperties: ["+property+"]}]", Message{"a", 1, false})
	if strings.ContainsAny(got, "\u009b\u202e") || !strings.Contains(got, `with the user property \u009b1=\u202e2`) {
		t.Errorf("%q", got)
	}
}
