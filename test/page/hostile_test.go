// Copyright 2026 The mqttbridge-operator Authors.
// SPDX-License-Identifier: Apache-2.0

package page

import (
	"net"
	"testing"

	v5 "github.com/eclipse/paho.golang/packets"
	"k8s.io/utils/ptr"

	"github.com/mqttbridge/mqttbridge-operator/api/v1alpha1"
	"github.com/mqttbridge/mqttbridge-operator/test/mqtttest"
)

// hostile is a text that would add elements and execute a script if the page did not escape it.
const hostile = `<img src=x onerror=alert(1)><script>alert(2)<` + `/script>"'`

// refuse answers CONNECT with a reason code, and with a text of the server.
func refuse(c net.Conn) {
	if _, err := v5.ReadPacket(c); err != nil {
		return
	}
	answer := v5.NewControlPacket(v5.CONNACK)
	connack := answer.Content.(*v5.Connack)
	connack.ReasonCode = 0x87
	connack.Properties = &v5.Properties{ReasonString: hostile}
	_, _ = answer.WriteTo(c)
}

// The words of a server, and the names of files, are shown as they are.
func TestPage_HostileServerAndFile_AreShownAsText(t *testing.T) {
	local := mqtttest.StartBroker(t, mqtttest.BrokerOptions{Name: "local"})
	b := manifest("refused", local.URL(), "hostile", mqtttest.StartFaulty(t, refuse).URL())
	b.Spec.Remote.ProtocolVersion = ptr.To(v1alpha1.ProtocolVersion5)
	b.Spec.Local.ClientID = hostile[:27] // <img src=x onerror=alert(1)
	host := mqtttest.NewHost(t)
	host.Put(b)
	const file = "<img src=x onerror=alert(3)>.yaml"
	host.PutText(file, "kind: "+hostile)
	host.Start()
	list := open(t, host.Runner, "/")
	list.waitRow("in trouble first", file, "Not forwarding")
	list.waitRow("in trouble first", "plant/refused", "Not forwarding", "onerror=alert(1)")
	wantNoElements(list)
	detail := open(t, host.Runner, "/bridges/plant/refused")
	detail.waitRow("order of preference", "hostile", "Failed", "AuthenticationFailed: ", "<img src=x onerror=alert(1)>")
	detail.waitText("Client identifier: " + hostile[:27])
	wantNoElements(detail)
	filtered := open(t, host.Runner, `/?name=%22%3E%3Cimg%20src%3Dx%20onerror%3Dalert(4)%3E`)
	filtered.waitText("0 of 2 bridges shown.")
	wantNoElements(filtered)
}

// wantNoElements fails if the page has elements other than its own. It waits for an update, which
// replaces parts of the page.
func wantNoElements(tb *tab) {
	tb.t.Helper()
	waitRequests(tb, 2)
	var images, scripts int
	tb.evaluate("document.images.length", &images)
	tb.evaluate("document.scripts.length", &scripts)
	if images != 0 || scripts != 1 {
		tb.t.Errorf("the page has %d images and %d scripts", images, scripts)
	}
}
