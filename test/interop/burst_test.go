// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"github.com/mqttbridge/mqttbridge-operator/test/traffic"
)

const (
	// A burst has as many messages of QoS 1 as of QoS 2: together they are more
	// than there are packet identifiers.
	burstSize  = 70_000
	burstBatch = 100
	// So many batches are on their way at a time. Servers drop what clients do not
	// take soon enough: Mochi more than 8192 messages, Mosquitto what its queue is
	// set to; here it is the identifiers that are tried, not the queues.
	burstAhead = 2
	// burstTime is enough for a burst on a machine that is busy.
	burstTime = 3 * time.Minute
)

// identifiersWrapRound sends more messages than there are packet identifiers, both
// ways at a time. The clients are lean, so that it takes seconds.
func identifiersWrapRound(l *line) {
	l.connect()
	done := make(chan error)
	for _, w := range l.busy() {
		topic := l.topic(w.name + "/burst")
		from, to := l.raw(w.from), l.raw(w.to)
		must(l.T, to.subscribe(topic))
		room := make(chan struct{}, burstAhead)
		go func() { done <- from.publishBurst(topic, room) }()
		go func() {
			if err := to.readBurst(l.ordered(w), room); err != nil {
				done <- fmt.Errorf("%s: %w", w.name, err)
				return
			}
			done <- nil
		}()
	}
	var failed error
	for range 2 * len(l.busy()) {
		if err := <-done; err != nil {
			failed = err
		}
	}
	must(l.T, failed)
}

// rawClient speaks MQTT packet by packet, buffered.
type rawClient struct {
	conn net.Conn
	in   *bufio.Reader
	out  *bufio.Writer
}

// raw connects with a session that is not kept.
func (l *line) raw(at traffic.Source) *rawClient {
	l.Helper()
	c := l.rawConnection(at)
	must(l.T, c.connect(&packets.ConnectPacket{ClientIdentifier: clientID()}))
	return c
}

// rawConnection has yet to be sent CONNECT.
func (l *line) rawConnection(at traffic.Source) *rawClient {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), soon)
	defer cancel()
	conn, err := at.Dial(ctx)
	must(l.T, err)
	l.Cleanup(func() { _ = conn.Close() })
	must(l.T, conn.SetDeadline(time.Now().Add(burstTime)))
	return &rawClient{conn, bufio.NewReaderSize(conn, 1<<20), bufio.NewWriter(conn)}
}

// connect sends a CONNECT with what is not said in the packet.
func (c *rawClient) connect(with *packets.ConnectPacket) error {
	with.MessageType = packets.Connect
	with.ProtocolName, with.ProtocolVersion, with.CleanSession = "MQTT", 4, true
	answer, err := c.ask(with)
	if err != nil {
		return err
	}
	if ack, ok := answer.(*packets.ConnackPacket); !ok || ack.ReturnCode != packets.Accepted {
		return fmt.Errorf("refused: %s", answer)
	}
	return nil
}

func (c *rawClient) ask(question packets.ControlPacket) (packets.ControlPacket, error) {
	if err := question.Write(c.out); err != nil {
		return nil, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	return packets.ReadPacket(c.in)
}

// subscribe subscribes at QoS 0: nothing is to be acknowledged.
func (c *rawClient) subscribe(filter string) error {
	subscribe := packets.NewControlPacket(packets.Subscribe).(*packets.SubscribePacket)
	subscribe.MessageID, subscribe.Topics, subscribe.Qoss = 1, []string{filter}, []byte{0}
	answer, err := c.ask(subscribe)
	if err != nil {
		return err
	}
	if ack, ok := answer.(*packets.SubackPacket); !ok || ack.ReturnCodes[0] != 0 {
		return fmt.Errorf("not subscribed: %s", answer)
	}
	return nil
}

// publishBurst publishes in batches, as there is room, and waits for the
// acknowledgement of each.
func (c *rawClient) publishBurst(topic string, room chan<- struct{}) error {
	for sent := 0; sent < burstSize; sent += burstBatch {
		select {
		case room <- struct{}{}:
		case <-time.After(burstTime):
			return fmt.Errorf("after %d messages published no more arrived", sent)
		}
		for i := range burstBatch {
			p := packets.NewControlPacket(packets.Publish).(*packets.PublishPacket)
			p.TopicName, p.MessageID, p.Qos = topic, uint16(i+1), byte(1+i%2)
			p.Payload = binary.BigEndian.AppendUint32([]byte{p.Qos}, uint32(sent+i))
			if err := p.Write(c.out); err != nil {
				return err
			}
		}
		for acknowledged := 0; acknowledged < burstBatch; {
			if c.in.Buffered() == 0 {
				if err := c.out.Flush(); err != nil {
					return err
				}
			}
			packet, err := packets.ReadPacket(c.in)
			if err != nil {
				return fmt.Errorf("after %d messages published: %w", sent, err)
			}
			rec, received := packet.(*packets.PubrecPacket)
			if !received { // PUBACK or PUBCOMP
				acknowledged++
				continue
			}
			rel := packets.NewControlPacket(packets.Pubrel).(*packets.PubrelPacket)
			rel.MessageID = rec.MessageID
			if err := rel.Write(c.out); err != nil {
				return err
			}
		}
	}
	return nil
}

// readBurst reads until all of a burst has come, each once, and where ordered, in
// order at each QoS. It makes room for the next batches.
func (c *rawClient) readBurst(ordered bool, room <-chan struct{}) error {
	var newest [3]uint32
	seen := make([]bool, burstSize)
	for came := range burstSize {
		packet, err := packets.ReadPacket(c.in)
		if err != nil {
			return fmt.Errorf("%d of %d messages came: %w", came, burstSize, err)
		}
		p, ok := packet.(*packets.PublishPacket)
		if !ok {
			return fmt.Errorf("%s came instead of a message", packet)
		}
		qos, number := p.Payload[0], binary.BigEndian.Uint32(p.Payload[1:])
		if seen[number] {
			return fmt.Errorf("message %d at QoS %d came twice", number, qos)
		}
		seen[number] = true
		if ordered && number < newest[qos] {
			return fmt.Errorf("message %d at QoS %d came after %d", number, qos, newest[qos])
		}
		newest[qos] = number
		if (came+1)%burstBatch == 0 {
			<-room
		}
	}
	return nil
}
