// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package faults

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

func TestFaults_RandomSchedule_LosesNothing(t *testing.T) {
	t.Parallel()
	l := newLine(t, "primary", "backup-1")
	s := schedule{line: l, random: random(t.Name())}
	for end := time.Now().Add(*scheduleLength); time.Now().Before(end); {
		s.next()
		s.flow(s.random.IntN(30), s.upStreams()...)
		s.collect()
	}
	t.Logf("%d faults", len(l.history))
	s.settle()
}

// The runner is not killed: it would forget the earlier session.
func TestFaults_ClientIDChangedAtRandom_LosesNothing(t *testing.T) {
	t.Parallel()
	l := newLine(t, "primary", "backup-1")
	s := schedule{line: l, random: random(t.Name())}
	manifest := l.manifest()
	for end, n := time.Now().Add(*scheduleLength), 1; time.Now().Before(end); n++ {
		if s.random.IntN(2) == 0 {
			s.cut()
		}
		s.changeClientID(manifest, n)
		switch s.random.IntN(8) {
		case 0:
			s.freeze()
		case 1:
			s.failOver()
		}
		s.flow(s.random.IntN(30), s.upStreams()...)
		s.collect()
	}
	t.Logf("%d faults", len(l.history))
	s.settle()
}

// schedule causes random faults.
type schedule struct {
	*line
	random *rand.Rand
	armed  []armed
}

// armed is a cut that may have happened.
type armed struct {
	name    string
	hit     <-chan mqtttest.Hit
	doubles [2]byte
}

// QoS up to which a fault may duplicate messages, by direction. A local server and a remote server
// that keep the session duplicate QoS 1. If the remote server is lost, the messages in flight to it
// are sent to the other one. A killed runner loses the state of both sessions.
var (
	localDoubles  = [2]byte{1, 1}
	switchDoubles = [2]byte{2, 1}
	killDoubles   = [2]byte{2, 2}
)

func (s *schedule) next() {
	s.Helper()
	switch n := s.random.IntN(10); {
	case n < 7:
		s.cut()
	case n < 8:
		s.freeze()
	case n < 9:
		s.kill()
	default:
		s.failOver()
	}
}

// cut arms a cut at a random packet, on either side.
func (s *schedule) cut() {
	types := []byte{
		packets.Connect, packets.Connack, packets.Publish, packets.Puback, packets.Pubrec,
		packets.Pubrel, packets.Pubcomp, packets.Subscribe, packets.Suback,
	}
	cut := mqtttest.Cut{
		Type: types[s.random.IntN(len(types))], Nth: 1 + s.random.IntN(5), Bytes: s.random.IntN(40), Reset: s.random.IntN(2) == 0,
	}
	switch cut.Type {
	case packets.Connack, packets.Suback:
		cut.FromServer, cut.Nth = true, 1
	case packets.Connect, packets.Subscribe:
		cut.Nth = 1
	default:
		cut.FromServer = s.random.IntN(2) == 0
	}
	servers, doubles := []*server{s.local}, localDoubles
	if s.random.IntN(2) == 0 {
		servers, doubles = s.remotes, switchDoubles
	}
	for _, server := range servers {
		s.armed = append(s.armed, armed{fmt.Sprintf("%s: %s", server.Name, cut), server.cutter.Arm(cut), doubles})
	}
}

// collect adds the cuts that have happened to the history.
func (s *schedule) collect() {
	for i := 0; i < len(s.armed); i++ {
		a := s.armed[i]
		select {
		case h := <-a.hit:
			s.history.add(fault{name: a.name, from: h.At, to: h.At, doubles: a.doubles})
			s.armed = append(s.armed[:i], s.armed[i+1:]...)
			i--
		default:
		}
	}
}

// freeze stops a server for a moment, or long enough for the bridge to treat it as dead.
func (s *schedule) freeze() {
	frozen, doubles := s.local, localDoubles
	if n := s.random.IntN(3); n > 0 {
		frozen, doubles = s.remotes[n-1], switchDoubles
	}
	moment := time.Duration(s.random.Int64N(int64(ackTimeout / 5)))
	if s.random.IntN(3) == 0 {
		moment += ackTimeout
	}
	began := frozen.Freeze()
	time.Sleep(moment)
	frozen.Thaw()
	s.history.add(fault{name: frozen.Name + " frozen", from: began, to: time.Now().Add(ackTimeout), doubles: doubles})
}

func (s *schedule) kill() {
	s.Helper()
	began := s.runner.Kill()
	s.runner.Start()
	s.history.add(fault{name: "runner killed", from: began, to: time.Now(), doubles: killDoubles})
}

// changeClientID changes the client identifier of one side or both.
func (s *schedule) changeClientID(manifest *v1alpha1.MQTTBridge, n int) {
	s.Helper()
	sides := 1 + s.random.IntN(3)
	if sides&1 > 0 {
		manifest.Spec.Local.ClientID = fmt.Sprint("local-", n)
	}
	if sides&2 > 0 {
		manifest.Spec.Remote.ClientID = fmt.Sprint("remote-", n)
	}
	s.runner.Update(manifest)
	now := time.Now()
	s.history.add(fault{name: fmt.Sprint("clientID changed, sides ", sides), from: now, to: now.Add(eventTimeout), doubles: killDoubles})
}

// failOver stops the active remote server until another one is active.
func (s *schedule) failOver() {
	s.Helper()
	active := s.active()
	began := time.Now()
	active.Stop()
	s.history.add(fault{name: active.Name + " stopped", from: began, to: time.Now(), doubles: switchDoubles})
	s.runner.WaitActive(s.other(active).Name, eventTimeout)
	s.flow(s.random.IntN(30), s.upStreams()...)
	active.Start()
}

// active waits until a remote server is active and returns it.
func (s *schedule) active() *server {
	s.Helper()
	status := s.runner.WaitStatus(eventTimeout, "a remote server is active", func(status v1alpha1.MQTTBridgeStatus) error {
		if status.Remote == nil || status.Remote.Active == nil {
			return fmt.Errorf("no remote server is active")
		}
		return nil
	})
	if status.Remote.Active.Name == s.remotes[0].Name {
		return s.remotes[0]
	}
	return s.remotes[1]
}

func (s *schedule) other(than *server) *server {
	if than == s.remotes[0] {
		return s.remotes[1]
	}
	return s.remotes[0]
}

// upStreams returns the streams that continue whichever remote server is active.
func (s *schedule) upStreams() (streams []*stream) {
	for _, stream := range s.streams {
		if stream.direction == up {
			streams = append(streams, stream)
		}
	}
	return streams
}

// settle ends the streams. Then it makes the bridge use each remote server once more, so that it
// receives the messages that this server still holds.
func (s *schedule) settle() {
	s.Helper()
	for _, stream := range s.streams {
		if err := stream.publisher.StopAndDrain(drainTimeout); err != nil {
			s.fatalf("%v", err)
		}
	}
	s.collect()
	for i, remote := range s.remotes {
		other := s.other(remote)
		began := time.Now()
		other.Stop()
		s.history.add(fault{name: other.Name + " stopped", from: began, to: time.Now(), doubles: switchDoubles})
		s.runner.WaitActive(remote.Name, eventTimeout)
		for _, stream := range s.streams {
			if stream.from == s.remotes[i] {
				s.check(stream)
			}
		}
		other.Start()
	}
	s.collect()
	s.check(s.streams...)
	s.report()
}
