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

// fleet are many bridges between two brokers, in one process or in two runners. Some of them have streams.
type fleet struct {
	*world
	all       []*v1alpha1.MQTTBridge
	near, far *mqtttest.Client5
}

// hostFleet is a fleet in one process. One more bridge has brokers of its own, and is flooded; the
// remote broker of another one is frozen.
type hostFleet struct {
	*fleet
	host    *mqtttest.Host
	flooded [2]*mqtttest.Broker // local and remote
	frozen  *mqtttest.Broker
	changes int
}

func TestTakeover_OneOfManyBridges_DoesNotAffectTheOthers(t *testing.T) {
	f := newHostFleet(t)
	n := len(f.all)
	f.repeat(
		event{name: fmt.Sprintf("%d bridges in one process: one changed", n), limit: inPlace, act: f.change},
		event{name: fmt.Sprintf("%d bridges in one process: one flooded", n), limit: inPlace, act: f.floodOne},
		event{name: fmt.Sprintf("%d bridges in one process: the broker of one frozen", n), limit: inPlace, act: f.freeze},
	)
}

// repeat brings the events about, and checks them and the whole fleet.
func (f *fleet) repeat(events ...event) {
	f.Helper()
	for range times() {
		for i := range events {
			f.bringAbout(&events[i])
		}
	}
	f.checkAllForward()
	f.judge()
}

// newFleet starts the brokers.
func newFleet(t *testing.T) *fleet {
	t.Helper()
	w := &world{TB: t, scenario: &scenario{}, control: startControl(t), active: "remote-1"}
	w.local, w.remotes = w.broker(localName), []*mqtttest.Broker{w.broker(w.active)}
	f := &fleet{world: w, near: mqtttest.StartClient5(t, w.local, "near"), far: mqtttest.StartClient5(t, w.remotes[0], "far")}
	f.far.Subscribe("+/" + topicUp + "/few")
	f.near.Subscribe("+/" + topicDown + "/few")
	n := 50
	if *full {
		n = *bridges
	}
	for i := range n {
		f.all = append(f.all, bridge(fmt.Sprintf("b%05d", i), both[i%len(both)], w.local, w.remotes[0]))
	}
	return f
}

func (w *world) broker(name string) *mqtttest.Broker {
	w.Helper()
	return mqtttest.StartBroker(w, mqtttest.BrokerOptions{Name: name})
}

func newHostFleet(t *testing.T) *hostFleet {
	t.Helper()
	f := &hostFleet{fleet: newFleet(t), host: mqtttest.NewHost(t)}
	f.local.RunFirst()
	f.remotes[0].RunFirst()
	f.frozen = f.broker("frozen")
	for i, name := range []string{"flooded-local", "flooded-remote"} {
		f.flooded[i] = f.broker(name)
		f.flooded[i].RunWhenIdle() // the other bridges do not share the machine with a flooded broker
	}
	for _, b := range f.all {
		f.host.Put(b)
	}
	f.host.Put(bridge("flooded", v1alpha1.ProtocolVersion5, f.flooded[0], f.flooded[1]))
	f.host.Put(impatient(bridge("frozen", v1alpha1.ProtocolVersion5, f.local, f.frozen)))
	f.host.Start()
	f.waitConnected(f.host.Runner, len(f.all)+2)
	f.startSamples()
	// The bridge whose broker is frozen has work, too.
	mqtttest.StartPublisher(f, f.local, traffic.PublisherConfig{Topic: "frozen/" + topicUp + "/x", Stream: "frozen", QoS: 1, Rate: sampleRate})
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

// waitConnected waits until both sides of all bridges are connected.
func (f *fleet) waitConnected(r *mqtttest.Runner, bridges int) {
	f.Helper()
	mqtttest.Eventually(f, 6*eventTimeout, "all bridges are connected", func() error {
		time.Sleep(settle) // the metrics of all bridges are large
		if n := r.Metrics().Sum("mqttbridge_connected"); n < float64(2*bridges) {
			return fmt.Errorf("%v of %d sides", n, 2*bridges)
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
	f.observe()
}

// change restarts a bridge that has no streams, by another client identifier.
func (f *hostFleet) change(w *world) {
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

// floodOne publishes to one bridge as fast as its local broker accepts the messages.
func (f *hostFleet) floodOne(w *world) {
	w.Helper()
	n := w.flood(f.flooded[0], "flooded/"+topicUp+"/x", oddDuration)
	w.Logf("the flooded bridge had %d messages a second", int(float64(n)/oddDuration.Seconds()))
}

// freeze freezes the broker of one bridge for some time.
func (f *hostFleet) freeze(w *world) {
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
