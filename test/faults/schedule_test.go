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

func TestNothingIsLostInAScheduleOfFaultsMadeByChance(t *testing.T) {
	t.Parallel()
	l := newLine(t, "primary", "backup-1")
	s := schedule{line: l, random: random(t.Name())}
	for end := time.Now().Add(*scheduleLength); time.Now().Before(end); {
		s.next()
		s.flow(s.random.IntN(30), s.goOn()...)
		s.collect()
	}
	t.Logf("%d faults", len(l.history))
	s.settle()
}

// schedule does faults by chance.
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

// What doubles messages: from a local server that keeps the session, as from a remote
// one, those of QoS 1. Where the remote server is lost, the messages on their way to it
// go to the other one. A runner that is killed takes the state of both sessions with it.
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

// cut arms a cut of whatever comes, on either side.
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

// freeze stops a server for a moment, or for long enough to be taken for dead.
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

// failOver stops the remote server in use, until another one is.
func (s *schedule) failOver() {
	s.Helper()
	active := s.active()
	began := time.Now()
	active.Stop()
	s.history.add(fault{name: active.Name + " stopped", from: began, to: time.Now(), doubles: switchDoubles})
	s.runner.WaitActive(s.other(active).Name, soon)
	s.flow(s.random.IntN(30), s.goOn()...)
	active.Start()
}

// active is the remote server that is in use now, or was last, or will be.
func (s *schedule) active() *server {
	s.Helper()
	status := s.runner.WaitStatus(soon, "a remote server is in use", func(status v1alpha1.MQTTBridgeStatus) error {
		if status.Remote == nil || status.Remote.Active == nil {
			return fmt.Errorf("none is")
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

// goOn are the streams that go on whatever remote server is in use.
func (s *schedule) goOn() (streams []*stream) {
	for _, stream := range s.streams {
		if stream.direction == up {
			streams = append(streams, stream)
		}
	}
	return streams
}

// settle ends the streams. The bridge then has to use each of the remote servers once
// more, to bring what that one has for it.
func (s *schedule) settle() {
	s.Helper()
	for _, stream := range s.streams {
		if err := stream.publisher.StopAndDrain(wholly); err != nil {
			s.fatalf("%v", err)
		}
	}
	s.collect()
	for i, remote := range s.remotes {
		other := s.other(remote)
		began := time.Now()
		other.Stop()
		s.history.add(fault{name: other.Name + " stopped", from: began, to: time.Now(), doubles: switchDoubles})
		s.runner.WaitActive(remote.Name, soon)
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
