// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package manifest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
)

// r returns a rule with this filter, topic and exclude.
func r(filter, topic string, exclude ...string) v1alpha1.Rule {
	return v1alpha1.Rule{Filter: filter, Topic: topic, Exclude: exclude}
}

func TestFindLoop_Rules_FindsLoopIfMessageComesBack(t *testing.T) {
	type rules = []v1alpha1.Rule
	for _, c := range []struct {
		name                         string
		localToRemote, remoteToLocal rules
		loop                         string // the names of its routes; empty: no loop
	}{
		{"the same filter", rules{r("home/#", "")}, rules{r("home/#", "")}, "localToRemote[0] remoteToLocal[0]"},
		{"different topics", rules{r("up/#", "")}, rules{r("down/#", "")}, ""},
		{"one in the other", rules{r("a/#", "")}, rules{r("a/b", "")}, "remoteToLocal[0] localToRemote[0]"},
		{"a prefix on one way", rules{r("#", "plant/${topic}")}, rules{r("commands/#", "")}, ""},
		{"a prefix each", rules{r("a/#", "b/${topic}")}, rules{r("b/#", "c/${topic}")}, ""},
		{"a prefix that is taken off again", rules{r("a/#", "b/${topic}")}, rules{r("b/#", "${1}")}, "localToRemote[0] remoteToLocal[0]"},
		{"excluded", rules{r("a/#", "", "a/down/#")}, rules{r("a/down/+", "")}, ""},
		{"excluded by a filter with a wildcard", rules{r("home/#", "", "home/+/state")}, rules{r("home/+/state", "")}, ""},
		{"excluded in part", rules{r("home/#", "", "home/+")}, rules{r("home/#", "")}, "localToRemote[0] remoteToLocal[0]"},
		{"four rules", rules{r("a/+", "b/${1}"), r("c/+", "d/${1}")}, rules{r("b/+", "c/${1}"), r("d/+", "a/${1}")}, "localToRemote[0] remoteToLocal[0] localToRemote[1] remoteToLocal[1]"},
		{"four rules, broken", rules{r("a/+", "b/${1}"), r("c/+", "d/${1}")}, rules{r("b/+", "c/${1}"), r("d/+", "e/${1}")}, ""},
		{"levels that change their places", rules{r("a/+/+", "a/${2}/${1}")}, rules{r("a/+/+", "")}, "localToRemote[0] remoteToLocal[0]"},
		{"a topic that grows", rules{r("a/#", "a/b/${1}")}, rules{r("a/#", "")}, "..."},
		{"a topic that doubles", rules{r("a/#", "a/${topic}/${topic}")}, rules{r("a/#", "")}, "..."},
		{"a topic that shrinks", rules{r("+/#", "${2}")}, rules{r("+/#", "${2}")}, ""},
		{"by a topic that the other rule names", rules{r("+/#", "${topic}")}, rules{r("x/y/z", "x/y/z")}, "remoteToLocal[0] localToRemote[0]"},
		{"text within a level", rules{r("a/+", "x${1}y")}, rules{r("xby", "a/b")}, "remoteToLocal[0] localToRemote[0]"},
		{"two captures within a level", rules{r("a/+/+", "${1}-${2}")}, rules{r("b-c", "a/b/c")}, "remoteToLocal[0] localToRemote[0]"},
		{"a topic of the servers, by a capture", rules{r("up/#", "${1}")}, rules{r("$SYS/#", "up/$SYS/${1}")}, ""},
		{"a topic of the servers, by name", rules{r("$SYS/#", "")}, rules{r("$SYS/#", "")}, "localToRemote[0] remoteToLocal[0]"},
		{"wildcards match no topic of the servers", rules{r("#", "$x/${topic}")}, rules{r("#", "")}, ""},
		{"an exclusive subscription", rules{r("$exclusive/a/#", "")}, rules{r("a/b", "")}, "remoteToLocal[0] localToRemote[0]"},
		{"deep", rules{r("a/#", "")}, rules{r("a/b/c/d/e/f/g/h/i/j/k/l/m/n/#", "")}, "remoteToLocal[0] localToRemote[0]"},
	} {
		spec := &v1alpha1.MQTTBridgeSpec{LocalToRemote: c.localToRemote, RemoteToLocal: c.remoteToLocal}
		loop := FindLoop(spec)
		got := ""
		if loop != nil {
			var names []string
			for _, s := range loop.steps {
				names = append(names, s.route.name)
			}
			got = strings.Join(names, " ")
		}
		if c.loop == "..." {
			if loop == nil {
				t.Errorf("%s: no loop", c.name)
			}
			continue
		}
		if got != c.loop {
			t.Errorf("%s: %q, want %q: %s", c.name, got, c.loop, loop)
		}
		spec.Delivery = &v1alpha1.Delivery{MaxHops: ptr.To[int32](3)}
		if FindLoop(spec) != nil {
			t.Errorf("%s: a loop, although maxHops ends it", c.name)
		}
	}
}

func TestFindLoop_RingOfManyRules_NamesFirstRules(t *testing.T) {
	spec := &v1alpha1.MQTTBridgeSpec{}
	const n = 64
	for i := range n {
		spec.LocalToRemote = append(spec.LocalToRemote, r(fmt.Sprintf("a%d/#", i), fmt.Sprintf("b%d/${1}", i)))
		spec.RemoteToLocal = append(spec.RemoteToLocal, r(fmt.Sprintf("b%d/#", i), fmt.Sprintf("a%d/${1}", (i+1)%n)))
	}
	loop := FindLoop(spec)
	if loop == nil || len(loop.steps) != 2*n {
		t.Fatalf("%v", loop)
	}
	want := `localToRemote[0] (filter "a0/#") publishes "a0/x1" as "b0/x1", remoteToLocal[0] (filter "b0/#") publishes "b0/x1" as "a1/x1", localToRemote[1]`
	if got := loop.String(); !strings.HasPrefix(got, want) || !strings.HasSuffix(got, fmt.Sprintf("and so on through %d more rules", 2*n-maxNamedSteps)) {
		t.Errorf("%s", got)
	}
}

// checkSteps fails the test unless the rules forward a message by each step of the loop.
func checkSteps(t *testing.T, spec *v1alpha1.MQTTBridgeSpec, loop *Loop) {
	t.Helper()
	for i, s := range loop.steps {
		out, ok := s.route.rule.Mapping.Map(s.in)
		if !ok || out != s.out || s.route.rule.Excludes(s.in) {
			t.Errorf("%+v: step %d of %s differs from the rule", spec, i, loop)
		}
		if i > 0 && len(loop.steps[i-1].out) < longTopic && loop.steps[i-1].out != s.in {
			t.Errorf("%+v: step %d of %s does not continue the step before", spec, i, loop)
		}
	}
	last := loop.steps[len(loop.steps)-1]
	if canonical(last.out) != canonical(loop.steps[0].in) && len(last.out) <= len(loop.steps[0].in) {
		t.Errorf("%+v: %s does not close", spec, loop)
	}
}

// hasLoop reports whether a message with one of the topics, on either side, comes back or is
// forwarded without end.
func hasLoop(localToRemote, remoteToLocal []Rule, topics []string) bool {
	rules := [2][]Rule{localToRemote, remoteToLocal}
	type place struct {
		side int
		name string
	}
	for _, start := range topics {
		for side := range rules {
			seen := map[place]int{} // 1: on the way, 2: done
			var visit func(p place, steps int) bool
			visit = func(p place, steps int) bool {
				if steps > 60 || seen[p] == 1 {
					return true
				}
				if seen[p] == 2 {
					return false
				}
				seen[p] = 1
				for i := range rules[p.side] {
					x := &rules[p.side][i]
					if made, ok := x.Mapping.Map(p.name); ok && !x.Excludes(p.name) && visit(place{1 - p.side, made}, steps+1) {
						return true
					}
				}
				seen[p] = 2
				return false
			}
			if visit(place{side, start}, 0) {
				return true
			}
		}
	}
	return false
}

func TestFindLoop_RandomRules_AgreesWithTryingAllTopics(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	rule := func() v1alpha1.Rule {
		for {
			var filter []string
			for range 1 + random.IntN(3) {
				filter = append(filter, pick("a", "b", "+", "#"))
			}
			x := r(strings.Join(filter, "/"), pick("${topic}", "a/${1}", "b/${2}", "${2}/${1}", "a/b", "${1}", "b/${topic}", "a${1}", "${1}/a"))
			if random.IntN(3) == 0 {
				x.Exclude = []string{pick("a/+", "a/#", "+/b", "b", "a/b/#")}
			}
			if _, errs := compile(&x, nil); len(errs) == 0 {
				return x
			}
		}
	}
	var topics []string
	last := []string{""}
	for range 4 {
		var longer []string
		for _, start := range last {
			for _, level := range []string{"a", "b", "x", "aa"} {
				longer = append(longer, strings.TrimPrefix(start+"/"+level, "/"))
			}
		}
		topics, last = append(topics, longer...), longer
	}
	loops, none := 0, 0
	for range 1000 {
		spec := &v1alpha1.MQTTBridgeSpec{}
		for range 1 + random.IntN(3) {
			spec.LocalToRemote = append(spec.LocalToRemote, rule())
		}
		for range 1 + random.IntN(3) {
			spec.RemoteToLocal = append(spec.RemoteToLocal, rule())
		}
		localToRemote, remoteToLocal, err := Directions(spec)
		if err != nil {
			t.Fatal(err)
		}
		loop := FindLoop(spec)
		if want := hasLoop(localToRemote, remoteToLocal, topics); (loop != nil) != want {
			t.Errorf("%+v\n%+v: loop %v, by trying all topics %v", spec.LocalToRemote, spec.RemoteToLocal, loop, want)
		}
		if loop == nil {
			none++
			continue
		}
		loops++
		checkSteps(t, spec, loop)
	}
	t.Logf("%d sets of rules with a loop, %d without", loops, none)
}

func TestFindLoop_MaxRules_ReturnsWithin5Seconds(t *testing.T) {
	spec := &v1alpha1.MQTTBridgeSpec{}
	for i := range MaxRules {
		spec.LocalToRemote = append(spec.LocalToRemote, r("#", fmt.Sprintf("up/%d/${topic}", i), "up/#", "down/#"))
		spec.RemoteToLocal = append(spec.RemoteToLocal, r("+/+/#", fmt.Sprintf("down/%d/${3}", i), "+/x"))
	}
	start := time.Now()
	loop := FindLoop(spec)
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	if loop != nil {
		t.Errorf("%s", loop)
	}
}

// bridge returns a bridge between two servers.
func bridge(name, local, remote string, localToRemote, remoteToLocal []v1alpha1.Rule) *v1alpha1.MQTTBridge {
	b := &v1alpha1.MQTTBridge{ObjectMeta: metav1.ObjectMeta{Namespace: "plant", Name: name}}
	b.Spec.Local.Primary.URL, b.Spec.Remote.Primary.URL = local, remote
	b.Spec.LocalToRemote, b.Spec.RemoteToLocal = localToRemote, remoteToLocal
	return b
}

// withBridgeModeOff makes the servers of both sides send the bridge's own messages back.
func withBridgeModeOff(b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridge {
	b.Spec.Local.BridgeMode, b.Spec.Remote.BridgeMode = ptr.To(v1alpha1.BridgeModeOff), ptr.To(v1alpha1.BridgeModeOff)
	return b
}

func TestValidate_SameServerUnderDifferentURLs_RefusedIfMessagesLoop(t *testing.T) {
	both := []v1alpha1.Rule{r("home/#", "")}
	for _, c := range []struct {
		local, remote                string
		localToRemote, remoteToLocal []v1alpha1.Rule
		refused                      bool
	}{
		{"mqtt://broker.example", "mqtt://broker.example:1883", both, nil, true},
		{"mqtt://broker.example", "tcp://Broker.example.", nil, both, true},
		{"mqtt://broker", "mqtt://broker.plant.svc.cluster.local", both, nil, true},
		{"mqtt://localhost", "mqtt://127.0.0.1:1883/", both, nil, true},
		{"ws://broker.example/mqtt", "ws://broker.example:80/mqtt?x=1", both, nil, true},
		{"ws://gw.example/a", "ws://gw.example/b", both, both, false},
		{"mqtt://broker.example", "mqtt://broker.example:1884", both, both, false},
		{"mqtt://broker.example", "tcp://broker.example", []v1alpha1.Rule{r("a/#", "b/${1}")}, nil, false},
		{"mqtt://broker.example", "tcp://broker.example", []v1alpha1.Rule{r("a/#", "b/${1}"), r("b/#", "a/${1}")}, nil, true},
	} {
		b := bridge("a", c.local, c.remote, c.localToRemote, c.remoteToLocal)
		b.APIVersion, b.Kind = v1alpha1.GroupVersion.String(), "MQTTBridge"
		errs := Validate(b)
		if (len(errs) > 0) != c.refused || c.refused && !strings.Contains(errs[0].Error(), "the server "+c.local+" of local is the same server") {
			t.Errorf("%s and %s: %v", c.local, c.remote, errs)
		}
	}
}

func TestLoopThrough_BridgesBetweenSameServers_NamesRulesAndBridges(t *testing.T) {
	both := []v1alpha1.Rule{r("home/#", "")}
	const one, two, three = "mqtt://one", "mqtt://two.example:1884", "mqtt://three.other.svc.cluster.local"
	for _, c := range []struct {
		name   string
		b      *v1alpha1.MQTTBridge
		others []*v1alpha1.MQTTBridge
		want   string // the rules and bridges that the loop names; empty: no loop
	}{
		{"alone", bridge("a", one, two, both, both), nil, ""},
		{"side by side", bridge("a", one, two, both, nil), []*v1alpha1.MQTTBridge{bridge("b", one, two, nil, both)}, "localToRemote[0] of plant/a, remoteToLocal[0] of plant/b"},
		{"the other way round", bridge("a", one, two, both, nil), []*v1alpha1.MQTTBridge{bridge("b", two, one, both, nil)}, "localToRemote[0] of plant/a, localToRemote[0] of plant/b"},
		{"by other names of the server", bridge("a", one, two, both, nil), []*v1alpha1.MQTTBridge{bridge("b", "tcp://two.example:1884/", "mqtt://one.plant.svc:1883", both, nil)}, "localToRemote[0] of plant/b"},
		{"in one direction", bridge("a", one, two, both, nil), []*v1alpha1.MQTTBridge{bridge("b", one, two, both, nil)}, ""},
		{"other servers", bridge("a", one, two, both, nil), []*v1alpha1.MQTTBridge{bridge("b", one, three, nil, both)}, ""},
		{"a ring of three", bridge("a", one, two, both, nil), []*v1alpha1.MQTTBridge{bridge("b", two, three, both, nil), bridge("c", "mqtt://three.other", one, both, nil)}, "localToRemote[0] of plant/c"},
		{"by another way to write an IP address", bridge("a", one, "mqtt://[2001:db8::1]", both, nil), []*v1alpha1.MQTTBridge{bridge("b", one, "mqtt://[2001:DB8:0::0:1]:1883", nil, both)}, "remoteToLocal[0] of plant/b"},
		{"another path of a gateway", bridge("a", one, "wss://gw.example/a", both, nil), []*v1alpha1.MQTTBridge{bridge("b", one, "wss://gw.example/b", nil, both)}, ""},
		{"the same path with another query", bridge("a", one, "wss://gw.example/mqtt?token=a", both, nil), []*v1alpha1.MQTTBridge{bridge("b", one, "wss://gw.example/mqtt/", nil, both)}, "remoteToLocal[0] of plant/b"},
		{"through messages that come back to one of them", withBridgeModeOff(bridge("a", one, two, []v1alpha1.Rule{r("a", "b"), r("x", "c")}, []v1alpha1.Rule{r("c", "a")})), []*v1alpha1.MQTTBridge{bridge("b", one, two, nil, []v1alpha1.Rule{r("b", "x")})}, "localToRemote[1] of plant/a, remoteToLocal[0] of plant/b"},
		{"a loop of the others only", bridge("a", one, two, both, nil), []*v1alpha1.MQTTBridge{bridge("b", two, three, both, nil), bridge("c", "mqtt://three.other", two, both, nil)}, ""},
	} {
		loop := FindLoopThrough(c.b, c.others)
		if (loop != nil) != (c.want != "") {
			t.Errorf("%s: %v", c.name, loop)
			continue
		}
		for _, want := range strings.Split(c.want, ", ") {
			if loop != nil && !strings.Contains(loop.String(), want) {
				t.Errorf("%s: %s does not name %s", c.name, loop, want)
			}
		}
	}
}

func TestLoopThrough_BridgeOfAnotherNamespace_IsNotDescribed(t *testing.T) {
	const one, two = "mqtt://one.example", "mqtt://two.example"
	theirs := bridge("secret-name", one, two, nil, []v1alpha1.Rule{r("secret-topic/+", "")})
	theirs.Namespace = "secret-namespace"
	loop := FindLoopThrough(bridge("a", one, two, []v1alpha1.Rule{r("#", "")}, nil), []*v1alpha1.MQTTBridge{theirs})
	if loop == nil {
		t.Fatal("no loop")
	}
	if got := loop.String(); strings.Contains(got, "secret") || !strings.Contains(got, `localToRemote[0] of plant/a (filter "#")`) || !strings.Contains(got, "a rule of a bridge in another namespace") {
		t.Errorf("the loop is described as %q", got)
	}
}

// The operator searches for the loops of all bridges. A tenant can create many bridges between the same
// servers, with many rules.
func TestLoopThrough_ManyBridgesWithManyRules_NeedsLittleMemory(t *testing.T) {
	var rules []v1alpha1.Rule
	for i := range MaxRules {
		rules = append(rules, v1alpha1.Rule{Name: fmt.Sprint(i), Filter: "a/#", Topic: fmt.Sprintf("${topic}/%d", i)})
	}
	var others []*v1alpha1.MQTTBridge
	for i := range 30 {
		others = append(others, bridge(fmt.Sprint(i), "mqtt://one.example", "mqtt://two.example", rules, rules))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	FindLoopThrough(bridge("a", "mqtt://one.example", "mqtt://two.example", rules, nil), others)
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 50 {
		t.Errorf("the search has allocated %d MiB", used)
	}
}

func TestValidate_LoopOfOneBridge_RefusedOnlyIfServerSendsBack(t *testing.T) {
	const v3, v5 = v1alpha1.ProtocolVersion311, v1alpha1.ProtocolVersion5
	for _, rules := range [][2]v1alpha1.Rule{{r("home/#", ""), r("home/#", "")}, {r("a/+", "b/${1}"), r("b/#", "a/${1}")}} {
		for _, c := range []struct {
			local, remote v1alpha1.ProtocolVersion
			off           string
			want          string
		}{
			{v3, v3, "", ""},
			{v3, v5, "", ""},
			{v5, v5, "local remote", ""},
			{v3, v3, "local", "would circulate in a loop"},
			{v3, v3, "remote", "would circulate in a loop"},
			{v3, v5, "local", "would circulate in a loop"},
			{v3, v5, "remote", ""},
		} {
			s := spec(c.local, c.remote)
			s.LocalToRemote, s.RemoteToLocal = []v1alpha1.Rule{rules[0]}, []v1alpha1.Rule{rules[1]}
			if strings.Contains(c.off, "local") {
				s.Local.BridgeMode = ptr.To(v1alpha1.BridgeModeOff)
			}
			if strings.Contains(c.off, "remote") {
				s.Remote.BridgeMode = ptr.To(v1alpha1.BridgeModeOff)
			}
			errs := validateSpec(s, nil)
			if len(errs) > 0 != (c.want != "") || len(errs) > 0 && !strings.Contains(errs[0].Error(), c.want) {
				t.Errorf("%q: %s, %s, off %q: %v", rules[0].Filter, c.local, c.remote, c.off, errs)
			}
		}
	}
}
