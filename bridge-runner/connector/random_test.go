// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package connector

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// serve answers all connections to a server. It sometimes refuses a connection or ends it.
func serve(server *script.Server, random *rand.Rand) {
	for {
		c, err := server.TryAccept()
		if err != nil {
			return // the test has ended
		}
		var code byte
		lasts := time.Minute
		switch random.IntN(8) {
		case 0:
			code = 0x87
		case 1:
			lasts = time.Duration(random.IntN(100)) * time.Millisecond
		}
		end := time.AfterFunc(lasts, func() { _ = c.Close() })
		go func() {
			defer end.Stop()
			answer(c, code)
		}()
	}
}

// answer answers the packets of a connection. code is the reason code of CONNACK.
func answer(c *script.Conn, code byte) {
	for {
		p, err := c.TryNext()
		reply := script.Packet{ID: p.ID}
		switch {
		case err != nil || p.Type == v5.DISCONNECT:
			_ = c.Close()
			return
		case p.Type == v5.CONNECT:
			reply.Type, reply.Code = v5.CONNACK, code
		case p.Type == v5.SUBSCRIBE:
			reply.Type, reply.Codes = v5.SUBACK, make([]byte, len(p.Subscriptions))
		case p.Type == v5.UNSUBSCRIBE:
			reply.Type, reply.Codes = v5.UNSUBACK, make([]byte, len(p.Filters))
		case p.Type == v5.PINGREQ:
			reply.Type = v5.PINGRESP
		default:
			continue
		}
		if _, err := c.Write([]byte(c.Encode(reply))); err != nil {
			return
		}
	}
}

// watchedList follows the list of servers and the server in use by the events of a side.
type watchedList struct {
	names  string // one letter for each server
	active string // empty: none
}

// follow applies an event. It returns an error if the event names a server that is not in the
// list.
func (w *watchedList) follow(event string) error {
	var what, names string
	if n, _ := fmt.Sscanf(event, "servers %s", &names); n == 1 {
		w.names = names
		if w.active != "" && !strings.Contains(names, w.active) {
			return fmt.Errorf("the list lacks the server in use, %s: %s", w.active, event)
		}
		return nil
	}
	server := -1
	if n, _ := fmt.Sscanf(event, "%s %d", &what, &server); n < 2 {
		return nil
	}
	if server >= len(w.names) {
		return fmt.Errorf("the list is %s: %s", w.names, event)
	}
	switch what {
	case "connected", "switched":
		w.active = w.names[server : server+1]
	case "lost":
		w.active = ""
	}
	return nil
}

// However often and in whichever state the settings change, the events fit the list, no session
// state is used twice at a time, and in the end the best server is in use.
func TestApply_RandomChanges_EndAtTheBestServer(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	x := newSide(t, 4)
	all := x.Servers
	for _, server := range x.servers {
		go serve(server, rand.New(rand.NewPCG(random.Uint64(), 0)))
	}
	x.Failover.RetryInitial, x.Failover.RetryMax = time.Millisecond, 50*time.Millisecond
	x.Failover.ProbeInterval, x.Failover.Failback, x.Failover.Stable = 10*time.Millisecond, true, 20*time.Millisecond
	x.run()
	watched := &watchedList{names: "abcd"}
	atTheEnd := func() bool { return watched.names == "abcd" && watched.active == "a" }
	for i, changes := 0, 300; i < changes || !atTheEnd(); i++ {
		if i < changes {
			x.changeRandomly(random, all)
		} else if i == changes {
			x.change(func(s *Settings) { s.Servers = all })
			x.mustRequest(nil)
		}
		pause := time.After(time.Duration(random.IntN(20)) * time.Millisecond)
		for waiting := true; waiting; {
			select {
			case event := <-x.events:
				if err := watched.follow(event); err != nil {
					t.Fatal(err)
				}
			case <-pause:
				waiting = false
			}
		}
		if i > changes+2000 {
			t.Fatalf("the list is %q, and %q is in use", watched.names, watched.active)
		}
	}
}

// changeRandomly changes the list, the connections, the session, the subscriptions or the request.
func (x *side) changeRandomly(random *rand.Rand, all []Server) {
	switch random.IntN(6) {
	case 0:
		order := random.Perm(len(all))
		x.change(keep(all, order[:1+random.IntN(len(all))]...))
	case 1:
		x.change(func(s *Settings) { s.Session = random.IntN(3) })
	case 2:
		x.change(func(s *Settings) { s.Servers[random.IntN(len(s.Servers))].Connection = fmt.Sprint(random.IntN(3)) })
	case 3:
		x.change(func(s *Settings) { s.ClientID = fmt.Sprint("client-", random.IntN(3)) })
	case 4:
		x.change(filters(strings.Split("fghi", "")[:random.IntN(5)]...))
	default:
		_ = x.Request(&Request{Server: all[random.IntN(len(all))].Name, Force: random.IntN(2) == 0}) // the list may lack it
	}
}
