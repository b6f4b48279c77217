// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package mqtttest

import (
	"bytes"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

func TestCutter_ArmedCut_DeliversAllBeforeItAndNothingAfter(t *testing.T) {
	encode := func(text string) []byte {
		p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
		p.TopicName, p.Payload = "t", []byte(text)
		var b bytes.Buffer
		if err := p.Write(&b); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	large := string(make([]byte, 1000)) // its length takes two bytes
	first, second, third := encode("1"), encode(large), encode("3")
	ping := []byte{packets.Pingreq << 4, 0}
	for _, fromServer := range []bool{false, true} {
		for _, reset := range []bool{false, true} {
			for _, n := range []int{0, 1, 2, 500, len(second) - 1, len(second), len(second) + 1} {
				cut := Cut{Type: packets.Publish, FromServer: fromServer, Nth: 2, Bytes: n, Reset: reset}
				t.Run(cut.String(), func(t *testing.T) {
					l, _ := listen(t)
					defer func() { _ = l.Close() }()
					c := StartCutter(t, l.Addr().String())
					hit := c.Arm(cut)
					sender, err := net.Dial("tcp", c.listener.Addr().String())
					if err != nil {
						t.Fatal(err)
					}
					receiver, err := l.Accept()
					if err != nil {
						t.Fatal(err)
					}
					if fromServer {
						sender, receiver = receiver, sender
					}
					defer func() { _, _ = sender.Close(), receiver.Close() }()
					_, _ = sender.Write(bytes.Join([][]byte{first, ping, second, third}, nil))
					_ = receiver.SetReadDeadline(time.Now().Add(5 * time.Second))
					got, err := io.ReadAll(receiver)
					if reset && !errors.Is(err, syscall.ECONNRESET) || !reset && err != nil {
						t.Errorf("the connection ended with %v", err)
					}
					want := bytes.Join([][]byte{first, ping, second[:min(n, len(second))]}, nil)
					if !bytes.Equal(got, want) {
						t.Errorf("%d bytes arrived, want %d", len(got), len(want))
					}
					if h := <-hit; h.Length != len(second) || h.Bytes != min(n, len(second)) {
						t.Errorf("hit %+v, want %d bytes of %d", h, min(n, len(second)), len(second))
					}
				})
			}
		}
	}
}

func TestCutter_OneDirectionEnds_OtherContinues(t *testing.T) {
	c := StartCutter(t, echo(t))
	conn, err := net.Dial("tcp", c.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	ping := []byte{packets.Pingreq << 4, 0}
	_, _ = conn.Write(ping)
	_ = conn.(*net.TCPConn).CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, ping) {
		t.Errorf("%v and %v came back, want %v", got, err, ping)
	}
}

func TestCutter_ServerPublishesAgainAfterPUBREL_ReportsRestart(t *testing.T) {
	c := &Cutter{released: map[uint16]bool{}}
	publish := []byte{packets.Publish<<4 | 2<<1, 6, 0, 1, 't', 0, 7, 'x'}
	again := append([]byte{publish[0] | 1<<3}, publish[1:]...)
	pubrel := []byte{packets.Pubrel<<4 | 2, 2, 0, 7}
	for _, packet := range [][]byte{publish, again, pubrel, publish, again} {
		c.watch(packet)
	}
	if got := c.Restarts(); len(got) != 0 {
		t.Errorf("restarts %q, although the server follows the protocol", got)
	}
	c.watch(pubrel)
	c.watch(again)
	if got := c.Restarts(); len(got) != 1 || got[0] != "\x00\x01t\x00\x07x" {
		t.Errorf("got %q, want the message", got)
	}
}
