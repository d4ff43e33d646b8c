package main

// Image declares what is in a container image and how it runs.
type Image struct {
	// ID names the image here and its archive: ID.tar.
	ID string
	// Name is what pods refer to the image by.
	Name string
	// Entrypoint is the command that runs, and Cmd its arguments unless a pod gives others.
	Entrypoint, Cmd []string
	// User is UID:GID. Empty means root, which the daemons need to read what only root may read.
	User string
	// Ports are those that the program listens on, as in 53/udp.
	Ports []string
	// Files are put into the image, with the folders that lead to them.
	Files []File
	// HostPrograms are taken from the machine that builds the image, with the libraries that they load.
	HostPrograms []HostProgram
	// OnlyForTests leaves the image out unless it is asked for by its ID.
	OnlyForTests bool
}

// File is one file, link or folder of an image.
type File struct {
	// To is where it lies in the image.
	To string
	// From is the file it is copied from: a built program, or any file if the path is absolute.
	From string
	// Link is what it points to, if it is a symbolic link.
	Link string
	// Mode is its permissions: 0755 if not given.
	Mode int64
	// Folder says that it is an empty folder.
	Folder bool
}

// HostProgram is a program of the machine that builds the image.
type HostProgram struct {
	// Name is looked for in PATH and where Debian keeps programs of root.
	Name string
	// Package is what installs it on Debian: the error says so when it is missing.
	Package string
	// To is where it lies in the image: where it lies on the machine if not given.
	To string
	// Aliases are further names of it in the same folder, as symbolic links.
	Aliases []string
	// AskAliases are arguments that make it print further aliases.
	AskAliases []string
	// Plugins is a pattern for the libraries that it opens by itself, which it does not declare.
	Plugins string
}

// images is the list of all images. version tags those of this project's own programs; the others carry the
// version of what they hold, which is the one required in their module under build/.
func images(version string) []Image {
	own := func(id string, ports ...string) Image {
		return Image{
			ID: id, Name: "sampan.io/" + id + ":" + version, Entrypoint: []string{"/" + id}, Ports: ports,
			Files: []File{{From: id, To: "/" + id}, temporaryFiles},
		}
	}
	proxy := own("proxy", "10249/tcp", "10256/tcp")
	proxy.HostPrograms = []HostProgram{nft, iptables} // iptables only for kernels without nftables
	return []Image{
		{
			ID: "pause", Name: "registry.k8s.io/pause:3.10", Entrypoint: []string{"/pause"}, User: "65535:65535",
			Files: []File{{From: "pause", To: "/pause"}},
		},
		own("apiserver", "6443/tcp"),
		own("scheduler", "10259/tcp"),
		own("controller-manager", "10257/tcp"),
		proxy,
		{
			ID: "coredns", Name: "sampan.io/coredns:v1.14.7", Entrypoint: []string{"/coredns"},
			Ports: []string{"53/tcp", "53/udp", "8080/tcp", "8181/tcp", "9153/tcp"},
			Files: []File{{From: "coredns", To: "/coredns"}, certificates},
		},
		{
			ID: "flannel", Name: "sampan.io/flannel:v0.28.10", Entrypoint: []string{"/opt/bin/flanneld"},
			Files:        []File{{From: "flanneld", To: "/opt/bin/flanneld"}, {From: "flannel", To: "/opt/cni/bin/flannel"}, temporaryFiles},
			HostPrograms: []HostProgram{nft},
		},
		{
			ID: "web", Name: "sampan.io/web:" + version, Entrypoint: []string{"/web"}, User: "65532:65532", Ports: []string{"8080/tcp"},
			Files: []File{{From: "web", To: "/web"}},
		},
		{
			ID: "test", Name: "sampan.io/test:" + version, Cmd: []string{"sh"}, OnlyForTests: true,
			Files: []File{temporaryFiles, {From: "get", To: "/bin/get"}, {To: "/root", Folder: true, Mode: 0o700}},
			HostPrograms: []HostProgram{
				{Name: "busybox", Package: "busybox-static", To: "/bin/busybox", AskAliases: []string{"--list"}},
			},
		},
	}
}

// What several images hold.
var (
	temporaryFiles = File{To: "/tmp", Folder: true, Mode: 0o1777}
	certificates   = File{From: "/etc/ssl/certs/ca-certificates.crt", To: "/etc/ssl/certs/ca-certificates.crt", Mode: 0o644}
	nft            = HostProgram{Name: "nft", Package: "nftables"}
	iptables       = HostProgram{
		Name: "iptables-legacy", Package: "iptables", Plugins: "/usr/lib/*/xtables/*.so",
		Aliases: []string{"iptables-legacy-restore", "ip6tables-legacy", "ip6tables-legacy-restore"},
	}
)
