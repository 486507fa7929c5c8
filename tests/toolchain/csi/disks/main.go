// Command disks is a CSI driver for the test cluster: disks of an exact size that any node can have, but, as those of a
// cloud or a SAN, only one node at a time. One process serves one node; each of them answers for the controller too.
package main

import (
	"flag"
	"log"
	"net"
	"os"
	"path/filepath"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

func main() {
	node := flag.String("node", "", "the node that this process serves")
	data := flag.String("data", "", "folder with the disks, the same for all nodes")
	kubelet := flag.String("kubelet", "", "the kubelet's root folder")
	flag.Parse()
	endpoint := filepath.Join(*kubelet, "plugins", name, "csi.sock")
	disks := disks{*data}
	go serve(endpoint, func(server *grpc.Server) {
		csi.RegisterIdentityServer(server, identity{})
		csi.RegisterControllerServer(server, controller{disks: disks})
		csi.RegisterNodeServer(server, agent{disks: disks, node: *node})
	})
	// The kubelet watches this folder, and asks who appears in it where the driver is.
	serve(filepath.Join(*kubelet, "plugins_registry", name+".sock"), func(server *grpc.Server) {
		registration.RegisterRegistrationServer(server, registrar{endpoint: endpoint})
	})
}

func serve(socket string, register func(*grpc.Server)) {
	if err := os.MkdirAll(filepath.Dir(socket), 0o750); err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(logged))
	register(server)
	log.Fatal(server.Serve(listener))
}
