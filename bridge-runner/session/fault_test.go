// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package session

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/bridge-runner/packet"
	"github.com/mqttbridge/mqttbridge-operator/test/script"
)

// faultyPeer returns a peer, and a channel that receives its faults as text.
func faultyPeer(t *testing.T, v packet.Version, limit int) (p *peer, faults chan string) {
	t.Helper()
	p, faults = newPeer(t, v), make(chan string, 100)
	p.cfg.MaximumPacketSize = limit
	p.cfg.Fault = func(f Fault) {
		faults <- fmt.Sprintf("%s %s %q %d dropped=%t", f.Packet, f.Faults.Label(), f.Topic, f.Size, f.Dropped())
	}
	return p, faults
}

func TestSession_PacketBreaksProtocol_ReportedAndSessionContinues(t *testing.T) {
	const both = 0
	for _, c := range []struct {
		name string
		v    packet.Version
		sent string
		want string
	}{
		{"a client's packet", both, "\xc0\x00", `PINGREQ unexpected "" 2 dropped=false`},
		{"a SUBSCRIBE", both, "\x82\x06\x00\x01\x00\x01a\x00", `SUBSCRIBE unexpected "" 8 dropped=false`},
		{"flags of a PUBACK", both, "\x42\x02\x00\x09", `PUBACK header "" 4 dropped=false`},
		{"a PUBACK without an identifier", both, "\x40\x02\x00\x00", `PUBACK packet_identifier "" 4 dropped=false`},
		{"a PUBREC without an identifier", both, "\x50\x02\x00\x00", `PUBREC packet_identifier "" 4 dropped=false`},
		{"a PUBREL without an identifier", both, "\x62\x02\x00\x00", `PUBREL packet_identifier "" 4 dropped=false`},
		{"a second CONNACK", both, "\x20\x02\x00\x00", `CONNACK unexpected "" 4 dropped=false`},
		{"a SUBACK without a SUBSCRIBE", both, "\x90\x04\x00\x05\x00\x00", `SUBACK unexpected "" 6 dropped=false`},
		{"an UNSUBACK without an UNSUBSCRIBE", both, "\xb0\x04\x00\x05\x00\x00", `UNSUBACK unexpected "" 6 dropped=false`},
		{"an UNSUBACK without anything", both, "\xb0\x00", `UNSUBACK unexpected "" 2 dropped=false`},
		{"a PINGRESP with a payload", both, "\xd0\x02ab", `PINGRESP header "" 4 dropped=false`},
		{"an AUTH", packet.V5, "\xf0\x00", `AUTH unexpected "" 2 dropped=false`},
		{"a longer PUBACK", packet.V311, "\x40\x05\x00\x09\x00\x00\x00", `PUBACK header "" 7 dropped=false`},
		{"a PUBACK with an invalid property", packet.V5, "\x40\x08\x00\x09\x00\x04\x1f\x00\x01\xff", `PUBACK properties "" 10 dropped=false`},
		{"a PUBACK whose properties do not end", packet.V5, "\x40\x05\x00\x09\x00\x04\x1f", `PUBACK properties "" 7 dropped=false`},
	} {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			if c.v != both && c.v != v {
				continue
			}
			t.Run(fmt.Sprintf("%s, version=%d", c.name, v), func(t *testing.T) {
				p, faults := faultyPeer(t, v, 0)
				l := p.new()
				l.c.SendBytes(c.sent)
				l.c.Send(script.Publish(0, 0, "t", "after"))
				l.want("received after")
				if got := <-faults; got != c.want {
					t.Errorf("reported %s, want %s", got, c.want)
				}
				l.sync()
			})
		}
	}
}

func TestSession_PUBRELWithWrongFlags_IsAnswered(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		l := p.new()
		l.c.Send(script.Publish(1, 2, "t", "x"))
		l.want("received x")
		l.ack("x")
		l.c.Want("PUBREC 1")
		l.c.SendBytes("\x60\x02\x00\x01") // [MQTT-3.6.1-1]
		l.c.Want("PUBCOMP 1")
	})
}

func TestSession_DISCONNECTFrom311Server_SessionEnds(t *testing.T) {
	l := newPeer(t, packet.V311).new()
	l.c.SendBytes("\xe0\x00")
	if e := l.wantOver(); e == nil || e.Reason != "Disconnected" {
		t.Errorf("ended with %v", e)
	}
}

// The handler receives messages that cannot be forwarded with their faults, so that it
// acknowledges them in order.
func TestSession_InvalidMessage_ReceivedWithFaults(t *testing.T) {
	for _, c := range []struct {
		name    string
		v       packet.Version
		publish string // the variable header, from the topic name, with the identifier ID
		topic   string
		kind    string
		dropped bool
	}{
		{"a wildcard", 0, "\x00\x03a/#ID", "a/#", "topic", true},
		{"not UTF-8", 0, "\x00\x01\xffID", "\xff", "topic", true},
		{"NUL", 0, "\x00\x03a\x00bID", "a\x00b", "topic", true},
		{"no topic", 0, "\x00\x00ID", "", "topic", true},
		{"an alias and no topic", packet.V5, "\x00\x00ID\x03\x23\x00\x01", "", "topic", true},
		{"an alias and a topic", packet.V5, "\x00\x01tID\x03\x23\x00\x01", "t", "topic_alias", false},
		{"an invalid property", packet.V5, "\x00\x01tID\x02\x01\x02", "t", "properties", false},
		{"an unknown property", packet.V5, "\x00\x01tID\x02\x7f\x02", "t", "properties", false},
		{"properties beyond the end", packet.V5, "\x00\x01tID\x7f\x01", "t", "properties", true},
	} {
		for _, v := range []packet.Version{packet.V311, packet.V5} {
			if c.v != 0 && c.v != v {
				continue
			}
			for qos, want := range []string{"", "PUBACK 7", "PUBREC 7"} {
				t.Run(fmt.Sprintf("%s, version=%d, qos=%d", c.name, v, qos), func(t *testing.T) {
					p, faults := faultyPeer(t, v, 0)
					l := p.new()
					id := ""
					if qos > 0 {
						id = "\x00\x07"
					}
					body := strings.ReplaceAll(c.publish, "ID", id)
					if v == packet.V5 && c.v == 0 {
						body += "\x00"
					}
					payload := ""
					if !c.dropped {
						payload = "x"
					}
					body += payload
					l.c.SendBytes(string([]byte{0x30 | byte(qos)<<1, byte(len(body))}) + body)
					l.want("received " + payload)
					in := l.in[0]
					if in.Topic != c.topic || in.Faults.Undeliverable() != c.dropped {
						t.Errorf("received %q, faults: %s", in.Topic, in.Faults)
					}
					if got, want := <-faults, fmt.Sprintf("PUBLISH %s %q %d dropped=%t", c.kind, c.topic, 2+len(body), c.dropped); got != want {
						t.Errorf("reported %s, want %s", got, want)
					}
					if want != "" {
						l.ack(payload)
						l.c.Want(want)
					}
					l.sync()
				})
			}
		}
	}
}

func TestSession_PacketIdentifier0_ReceivedAndNotAcknowledged(t *testing.T) {
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for _, flags := range []string{"\x32", "\x34"} {
			p, faults := faultyPeer(t, v, 0)
			l := p.new()
			for range 2 {
				l.c.SendBytes(flags + "\x06\x00\x01t\x00\x00\x00")
				l.want("received " + "\x00"[int(v)-4:])
				if got, want := <-faults, `PUBLISH packet_identifier "t" 8 dropped=false`; got != want {
					t.Errorf("reported %s, want %s", got, want)
				}
				l.ack("\x00"[int(v)-4:])
			}
			l.sync() // nothing was acknowledged
		}
	}
}

// [MQTT-3.1.2-24] of MQTT 5: the server must not send such packets. A server of 3.1.1 does
// not know the limit.
func TestSession_MessageOverMaximumPacketSize_ReceivedWithTopicOnly(t *testing.T) {
	const limit = 2000
	for _, v := range []packet.Version{packet.V311, packet.V5} {
		for qos, want := range []string{"", "PUBACK 7", "PUBREC 7"} {
			for _, size := range []int{limit + 1, 100_000, 20 << 20} {
				t.Run(fmt.Sprintf("version=%d, qos=%d, size=%d", v, qos, size), func(t *testing.T) {
					p, faults := faultyPeer(t, v, limit)
					l := p.new()
					topic := strings.Repeat("t", 1200)
					wire := l.c.Encode(l.sized(script.Publish(uint16(min(qos, 1)*7), byte(qos), topic, ""), size))
					l.c.Send(script.Publish(0, 0, "t", "before"))
					l.want("received before")
					l.c.SendBytes(wire[:size-1])
					l.wantNoMore() // it is not acknowledged before it has arrived completely
					l.c.SendBytes(wire[size-1:] + l.c.Encode(script.Publish(0, 0, "t", "after")))
					in := l.wantFault(packet.FaultTooLarge)
					if in.Topic != topic || len(in.Payload) > 2*limit || in.QoS != byte(qos) {
						t.Errorf("received %+v", in)
					}
					if got, want := <-faults, fmt.Sprintf("PUBLISH too_large %q %d dropped=true", topic, size); got != want {
						t.Errorf("reported %s, want %s", got, want)
					}
					l.want("received after")
					in.Ack()
					if want != "" {
						l.s.flusher.Flush()
						l.c.Want(want)
					}
					if n := cap(l.s.conn.buf); n > 256<<10 {
						t.Errorf("a buffer of %d bytes", n)
					}
				})
			}
		}
	}
}

// sized returns p with a payload that makes the packet this size, in bytes.
func (l *link) sized(p script.Packet, size int) script.Packet {
	l.t.Helper()
	p.Payload = strings.Repeat("x", size)
	p.Payload = p.Payload[:2*size-len(l.c.Encode(p))]
	if n := len(l.c.Encode(p)); n != size {
		l.t.Fatalf("%d bytes, want %d", n, size)
	}
	return p
}

// wantFault waits for a message with these faults.
func (l *link) wantFault(faults packet.Faults) *Inbound {
	l.t.Helper()
	<-l.events
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.in, func(in *Inbound) bool { return in.Faults == faults })
	if i < 0 {
		l.t.Fatalf("no message with the fault that %s", faults)
	}
	return l.in[i]
}

func TestSession_PacketsUpToMaximumPacketSize_AreReceived(t *testing.T) {
	const limit = 200_000
	versions(t, func(t *testing.T, p *peer) {
		p.cfg.MaximumPacketSize = limit
		c, done := p.dial()
		if connect := c.Next(); p.v5() && *connect.Properties.MaximumPacketSize != limit { // section 3.1.2.11.4
			t.Errorf("announced %v", connect.Properties)
		}
		c.Send(script.Connack(false, nil))
		l := p.use(c, <-done)
		for range 3 {
			m := l.sized(script.Publish(1, 1, "t", ""), limit)
			l.c.Send(m)
			l.want("received " + m.Payload)
			l.ack(m.Payload)
			l.c.Want("PUBACK 1")
		}
	})
}

// An acknowledgement is useful at any size: its content is at the beginning.
func TestSession_AcknowledgementOverMaximumPacketSize_Counts(t *testing.T) {
	p, faults := faultyPeer(t, packet.V5, 1000)
	l := p.new()
	l.publish(message(1, "x"))
	l.c.Want("PUBLISH 1 qos1 t=x")
	ack := script.Ack(v5.PUBACK, 1, 0)
	ack.Properties = &v5.Properties{}
	for range 2000 {
		ack.Properties.User = append(ack.Properties.User, v5.User{Key: "k", Value: strings.Repeat("v", 1000)})
	}
	l.c.Send(ack)
	l.want("acknowledged x")
	if got := <-faults; !strings.HasPrefix(got, "PUBACK too_large") {
		t.Errorf("reported %s", got)
	}
	l.sync()
}

// If a skipped message is sent again, it is acknowledged again and the handler does not
// receive it again.
func TestSession_SkippedMessageSentAgain_IsRedelivered(t *testing.T) {
	versions(t, func(_ *testing.T, p *peer) {
		p.cfg.MaximumPacketSize = 1000
		large := script.Publish(1, 2, "t", strings.Repeat("x", 100_000))
		l := p.new()
		l.c.Send(large)
		in := l.wantFault(packet.FaultTooLarge)
		l.cut()
		l = p.resume()
		l.c.Send(script.Duplicate(large))
		l.want("redelivered " + in.Payload)
		in.Ack()
		l.s.flusher.Flush()
		l.c.Want("PUBREC 1")
	})
}

// A large message takes the memory of its read buffer, and half as much while the buffer
// grows.
func TestSession_LargeMessage_IsNotCopied(t *testing.T) {
	const size = 8 << 20
	l := newPeer(t, packet.V311).new()
	wire := l.c.Encode(script.Publish(0, 0, "t", strings.Repeat("x", size)))
	l.c.Send(script.Publish(0, 0, "t", "before"))
	l.want("received before")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	l.c.SendBytes(wire)
	if got := <-l.events; len(got) != size+len("received ") {
		t.Fatalf("received %d bytes", len(got))
	}
	runtime.ReadMemStats(&after)
	const ofTheTest = 2 * size // SendBytes and the event make copies, too
	if n := after.TotalAlloc - before.TotalAlloc; n > ofTheTest+2*size {
		t.Errorf("allocated %d bytes for a message of %d", n, size)
	}
}
