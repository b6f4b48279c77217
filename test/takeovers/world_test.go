// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// rate is the rate of a stream in messages a second.
	rate = 500
	// changingRate is the rate of a stream whose rule the events change.
	changingRate = 50
	// settle is the time after an event in which the streams are still observed.
	settle = 200 * time.Millisecond
	// mostPasses bounds the repetitions of this time while the streams are behind.
	mostPasses = 100

	localName = "local"
	topicUp   = "up"
	topicDown = "down"
)

// world is a bridge between a local broker and the brokers of the remote side, with streams.
type world struct {
	testing.TB
	scenario *scenario
	control  *traffic.Collector
	local    *mqtttest.Broker
	remotes  []*mqtttest.Broker
	manifest *v1alpha1.MQTTBridge
	// runner is the active runner.
	runner *mqtttest.Runner
	// pair are both runners. It is nil if there is one.
	pair *mqtttest.Pair
	// recorders are in front of the local broker and the first remote broker, for each runner of a pair.
	recorders map[*mqtttest.Runner][]*mqtttest.Recorder
	// active is the name of the remote server that the bridge uses.
	active string
	// names is the number of logins and client identifiers that the scenario has used.
	names int
	// transfers is the number of changes of a client identifier, by side.
	transfers map[string]int
	// streams are the streams of rules that no event changes.
	streams []*stream
	// changing are the streams of the rules that the events change. They have a gap when their rule
	// changes, and must lose nothing.
	changing []*stream
	windows  []window
	// measured is the longest gap that the present event has measured besides the streams.
	measured time.Duration
}

// window is the period of one repetition of an event.
type window struct {
	*event
	from, to time.Time
	measured time.Duration
}

// newWorld starts the brokers of a scenario.
func newWorld(t testing.TB, s *scenario, version v1alpha1.ProtocolVersion, control *traffic.Collector) *world {
	t.Helper()
	w := &world{TB: t, scenario: s, control: control, active: "remote-1", transfers: map[string]int{}}
	options := mqtttest.BrokerOptions{Name: localName, Users: s.users}
	w.local = mqtttest.StartBroker(w, options)
	for i := range max(s.remotes, 1) {
		options.Name = fmt.Sprintf("remote-%d", i+1)
		w.remotes = append(w.remotes, mqtttest.StartBroker(w, options))
	}
	w.manifest = manifest("takeover", version, w.local.URL(), w.server(0))
	if s.prepare != nil {
		s.prepare(w)
	}
	w.startRunners()
	w.runner.WaitActive(w.active, eventTimeout)
	w.startStreams(s)
	return w
}

func (w *world) startRunners() {
	w.Helper()
	if w.scenario.pair != nil {
		w.startPair()
		return
	}
	w.runner = mqtttest.NewRunner(w, w.manifest)
	if w.scenario.users != nil {
		w.setLogin(0)
	}
	w.runner.Start()
}

// manifest returns a bridge with a rule in each direction.
func manifest(name string, version v1alpha1.ProtocolVersion, local string, remote v1alpha1.Server) *v1alpha1.MQTTBridge {
	return &v1alpha1.MQTTBridge{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "MQTTBridge"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "test"},
		Spec: v1alpha1.MQTTBridgeSpec{
			Local:         v1alpha1.Side{Primary: v1alpha1.Server{URL: local}, ProtocolVersion: &version},
			Remote:        v1alpha1.Side{Primary: remote, ProtocolVersion: &version},
			LocalToRemote: []v1alpha1.Rule{{Filter: topicUp + "/#", QoS: ptr.To[int32](2)}},
			RemoteToLocal: []v1alpha1.Rule{{Filter: topicDown + "/#", QoS: ptr.To[int32](2)}},
		},
	}
}

// server returns the server of the manifest for a remote broker.
func (w *world) server(i int) v1alpha1.Server {
	return v1alpha1.Server{Name: w.remotes[i].Name, URL: w.remotes[i].URL()}
}

// startStreams starts the streams and waits until they flow.
func (w *world) startStreams(s *scenario) {
	w.Helper()
	for _, d := range directions {
		for _, qos := range []byte{1, 2} {
			name := fmt.Sprintf("%s-%d", []string{topicUp, topicDown}[d], qos)
			topic := []string{topicUp, topicDown}[d] + "/" + name
			w.streams = append(w.streams, w.newStream(line{d, name, topic, topic, qos, rate}))
			if s.changing {
				name, topic = "changing-"+name, changingTopics[d]+"/x"
				w.changing = append(w.changing, w.newStream(line{d, name, topic, "+/x", qos, changingRate}))
			}
		}
	}
	w.observe()
}

// observe waits until each stream has delivered messages for a while, and none is behind. While a backlog is
// forwarded, the processes use all processors, and the streams delay each other: this is no part of the next event.
func (w *world) observe() {
	w.Helper()
	for range mostPasses {
		after := time.Now().Add(settle)
		longest := time.Duration(0)
		for _, s := range w.streams {
			must(w, s.waitFrom(w.active, after))
			longest = max(longest, s.interval)
		}
		if time.Since(after) <= longest+tolerated(inPlace) {
			return
		}
	}
	w.Errorf("the streams are behind after %d waits of %s", mostPasses, settle)
}

// update changes the manifest, and waits until each runner reports its generation.
func (w *world) update(change func(*v1alpha1.MQTTBridgeSpec)) {
	w.Helper()
	change(&w.manifest.Spec)
	if w.pair == nil {
		w.runner.Update(w.manifest)
	} else {
		w.pair.Update(w.manifest)
		w.waitGeneration(w.standby())
	}
	w.waitGeneration(w.runner)
}

func (w *world) waitGeneration(r *mqtttest.Runner) {
	w.Helper()
	want := w.manifest.Generation
	r.WaitStatus(eventTimeout, "the change is in effect", func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Runners[0].Generation != want {
			return fmt.Errorf("generation %d is in effect, not %d; refused: %+v", s.Runners[0].Generation, want, s.Runners[0].Refused)
		}
		return nil
	})
}

// bringAbout brings an event about, and records its period.
func (w *world) bringAbout(e *event) {
	w.Helper()
	from := time.Now()
	e.act(w)
	w.observe()
	w.windows = append(w.windows, window{e, from, time.Now(), w.measured})
	w.measured = 0
	if e.after != nil {
		e.after(w)
	}
}
