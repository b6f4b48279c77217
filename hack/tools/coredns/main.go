// Command coredns is CoreDNS with only the plugins that the local cluster needs: it serves the
// names of Services and pods from the API server, and answers all other names with "no such name".
// The stock command links all plugins and takes minutes to compile.
package main

import (
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

func main() {
	coremain.Run()
}
