// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package takeovers

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

var bridges = flag.Int("bridges", 1000, "with -full, the number of bridges in one process")

const (
	// sampled is the number of bridges with streams.
	sampled = 20
	// sampleRate is the rate of each of their streams in messages a second.
	sampleRate = 25
	// fewMessages is the number of messages that each bridge forwards in each direction, besides
	// the streams.
	fewMessages = 3
	// oddDuration is the time for which a bridge is flooded, or its broker frozen.
	oddDuration = 3 * time.Second
)

// fleet is a process with many bridges between two brokers. Some of them have streams. One bridge
// has brokers of its own, and is flooded; the remote broker of another one is frozen.
type fleet struct {
	*world
	host      *mqtttest.Host
	all       []*v1alpha1.MQTTBridge
	near, far *mqtttest.Client5
	flooded   [2]*mqtttest.Broker // local and remote
	frozen    *mqtttest.Broker
	changes   int
}

func TestTakeover_OneOfManyBridges_DoesNotAffectTheOthers(t *testing.T) {
	n := 50
	if *full {
		n = *bridges
	}
	f := newFleet(t, n)
	events := []event{
		{name: fmt.Sprintf("%d bridges in one process: one changed", n), limit: inPlace, act: f.change},
		{name: fmt.Sprintf("%d bridges in one process: one flooded", n), limit: inPlace, act: f.flood},
		{name: fmt.Sprintf("%d bridges in one process: the broker of one frozen", n), limit: inPlace, act: f.freeze},
	}
	for range times() {
		for i := range events {
			f.bringAbout(&events[i])
		}
	}
	f.checkAllForward()
	f.judge()
}

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	broker := func(name string) *mqtttest.Broker { return mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: name}) }
	w := &world{TB: t, scenario: &scenario{}, control: startControl(t), local: broker(localName), remotes: []*mqtttest.Broker{broker("remote-1")}, active: "remote-1"}
	f := &fleet{
		world: w, host: mqtttest.NewHost(t), frozen: broker("frozen"),
		flooded: [2]*mqtttest.Broker{broker("flooded-local"), broker("flooded-remote")},
		near:    mqtttest.StartClient5(t, w.local, "near"), far: mqtttest.StartClient5(t, w.remotes[0], "far"),
	}
	for _, b := range f.flooded { // the other bridges do not share the machine with a flooded broker
		b.LowerPriority()
	}
	f.far.Subscribe("+/" + topicUp + "/few")
	f.near.Subscribe("+/" + topicDown + "/few")
	for i := range n {
		b := bridge(fmt.Sprintf("b%05d", i), both[i%len(both)], w.local, w.remotes[0])
		f.all = append(f.all, b)
		f.host.Put(b)
	}
	f.host.Put(bridge("flooded", v1alpha1.ProtocolVersion5, f.flooded[0], f.flooded[1]))
	f.host.Put(impatient(bridge("frozen", v1alpha1.ProtocolVersion5, w.local, f.frozen)))
	f.host.Start()
	f.waitConnected()
	f.startSamples()
	f.observe()
	return f
}

// bridge returns a bridge that forwards the topics below its name.
func bridge(name string, version v1alpha1.ProtocolVersion, local, remote *mqtttest.Broker) *v1alpha1.MQTTBridge {
	b := manifest(name, version, local.URL(), v1alpha1.Server{URL: remote.URL()})
	b.Spec.LocalToRemote = []v1alpha1.Rule{{Filter: name + "/" + topicUp + "/#", QoS: ptr.To[int32](2)}}
	b.Spec.RemoteToLocal = []v1alpha1.Rule{{Filter: name + "/" + topicDown + "/#", QoS: ptr.To[int32](2)}}
	return b
}

// impatient makes the bridge detect a frozen broker, and try it again, within a repetition.
func impatient(b *v1alpha1.MQTTBridge) *v1alpha1.MQTTBridge {
	b.Spec.Remote.Failover = &v1alpha1.Failover{
		AckTimeoutSeconds:     ptr.To[int32](1),
		ConnectTimeoutSeconds: ptr.To[int32](1),
		Retry:                 &v1alpha1.Retry{InitialMilliseconds: ptr.To[int32](100), MaxSeconds: ptr.To[int32](1)},
	}
	return b
}

func (f *fleet) waitConnected() {
	f.Helper()
	mqtttest.Eventually(f, 6*eventTimeout, "all bridges are connected", func() error {
		time.Sleep(settle) // the status of all bridges is large
		files, err := f.host.Files()
		if err != nil {
			return err
		}
		up := 0
		for _, f := range files {
			if s := f.Status; s != nil && s.Local.Active != nil && s.Remote.Active != nil {
				up++
			}
		}
		if up < len(files) {
			return fmt.Errorf("%d of %d", up, len(files))
		}
		return nil
	})
}

// startSamples starts the streams of some of the bridges, which are distributed over all.
func (f *fleet) startSamples() {
	f.Helper()
	for i := range sampled {
		name := f.all[i*len(f.all)/sampled].Name
		for _, d := range directions {
			topic := name + "/" + []string{topicUp, topicDown}[d] + "/sample"
			f.streams = append(f.streams, f.newStream(line{d, fmt.Sprintf("%s-%d", name, d), topic, topic, byte(1 + i%2), sampleRate}))
		}
	}
	// The bridge whose broker is frozen has work, too.
	mqtttest.StartPublisher(f, f.local, traffic.PublisherConfig{Topic: "frozen/" + topicUp + "/x", Stream: "frozen", QoS: 1, Rate: sampleRate})
}

// change restarts a bridge that has no streams, by another client identifier.
func (f *fleet) change(w *world) {
	w.Helper()
	b := f.all[1]
	f.changes++
	b.Generation++
	b.Spec.Remote.ClientID = fmt.Sprint("changed-", f.changes)
	f.host.Put(b)
	f.host.WaitBridge(b, eventTimeout, "the change is in effect", func(s v1alpha1.MQTTBridgeStatus) error {
		if s.Runners[0].Generation != b.Generation || s.Remote.Active == nil {
			return fmt.Errorf("%+v", s.Runners[0])
		}
		return nil
	})
}

// flood publishes to one bridge as fast as its local broker accepts the messages.
func (f *fleet) flood(w *world) {
	w.Helper()
	f.changes++
	p := mqtttest.StartPublisher(f, f.flooded[0], traffic.PublisherConfig{Topic: "flooded/" + topicUp + "/x", Stream: fmt.Sprint("flood-", f.changes), QoS: 1})
	time.Sleep(oddDuration)
	must(w, p.StopAndDrain(drainTimeout))
	w.Logf("the flooded bridge had %d messages a second", int(float64(p.Ledger().Sent)/oddDuration.Seconds()))
	p.Close()
}

// freeze freezes the broker of one bridge for some time.
func (f *fleet) freeze(w *world) {
	w.Helper()
	f.frozen.Freeze()
	time.Sleep(oddDuration)
	f.frozen.Thaw()
}

// checkAllForward checks that every bridge forwards messages in both directions.
func (f *fleet) checkAllForward() {
	f.Helper()
	for range fewMessages {
		for _, b := range f.all {
			f.near.Publish(&paho.Publish{Topic: b.Name + "/" + topicUp + "/few", QoS: 1, Payload: []byte("x")})
			f.far.Publish(&paho.Publish{Topic: b.Name + "/" + topicDown + "/few", QoS: 1, Payload: []byte("x")})
		}
	}
	for _, c := range []*mqtttest.Client5{f.near, f.far} {
		want := fewMessages * len(f.all)
		mqtttest.Eventually(f, eventTimeout, "every bridge forwards", func() error {
			if n := len(c.Received("")); n < want {
				return fmt.Errorf("%d of %d messages arrived", n, want)
			}
			return nil
		})
		seen := map[string]int{}
		for _, p := range c.Received("") {
			seen[p.Topic]++
			if seen[p.Topic] > fewMessages {
				f.Errorf("%s arrived %d times, want %d", p.Topic, seen[p.Topic], fewMessages)
			}
		}
	}
}
