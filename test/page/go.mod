module github.com/mqttbridge/mqttbridge-operator/test/page

go 1.26.0

require (
	github.com/chromedp/cdproto v0.159.3
	github.com/chromedp/chromedp v0.23.0
	github.com/mqttbridge/mqttbridge-operator v0.0.0-00010101000000-000000000000
)

replace github.com/mqttbridge/mqttbridge-operator => ../..
