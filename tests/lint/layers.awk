# Who may include what. Input: C files, named from the repository root.
# The direction is cmd -> lib and runtime, runtime -> lib; inside runtime/ the table decides.

BEGIN {
	# A module of runtime/ and what it may include there beyond itself. "*" sees everything; a
	# module that is not named here sees the files of runtime/ and none of its directories.
	may["sync/"] = "aggregate coll coll_round device/ exchange graph state_array transport/transport"
	may["coder"] = "compress/ device/"
	may["residual"] = "coder compress/compress state_array device/"
	may["exchange"] = "coder compress/compress residual state_array coll coll_cost coll_volume coll_round coll_sparse " \
		"sparse_vector transport/transport device/"
	may["coll"] = "transport/transport device/"
	may["coll_sparse"] = may["coll_sparse_cost"] = "sparse_vector transport/transport"
	may["sparse"] = "compress/compress compress/sparse device/"
	may["compress/"] = may["model/"] = may["transport/"] = "device/"
	may["optim/"] = "device/ model/model"
	may["data/"] = "model/batch device/"
	may["device/"] = may["graph"] = may["rng"] = may["slice"] = may["aggregate"] = ""
	may["checkpoint"] = "coll exchange outbox device/ model/model optim/optim sync/sync " \
		"transport/transport weights"
	may["weights"] = "model/model"
	may["metrics"] = "exchange model/batch outbox sync/sync transport/transport"
	may["bench"] = "coll coll_measure job outbox rank transport/transport"
	may["probe"] = "calibrate coll job outbox outfit rank transport/emulate transport/transport"
	may["feed"] = "data/ model/batch"
	may["fault"] = "device/"
	may["frozen"] = "data/ device/ job model/model weights"
	may["evaluate"] = may["generate"] = may["job"] = may["loop"] = may["rank"] = may["worker"] = "*"
	may["calibrate"] = may["outfit"] = may["share"] = "*"
	# Everyone may draw random numbers and cut slices.
	free = " rng slice "
	# What only the user's side needs.
	split("ssh yaml fanout provision probe launch rundir process", list, " ")
	for (i in list)
		orchestrator[list[i]] = 1
	# Computed from their arguments alone.
	pure = "^lib/(links|(flow|survey|groups|cost|plan)(_[a-z_]*)?)\\.[ch]$"
	io = "^(unistd|fcntl|poll|sys/.*|netinet/.*)\\.h$|^lib/(file|log|ssh|process|clock)\\.h$"
	standard = " assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp " \
		"signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib stdnoreturn " \
		"string tgmath threads time uchar wchar wctype aio cpio dirent dlfcn fcntl fnmatch " \
		"ftw glob grp iconv langinfo libgen malloc monetary mqueue ndbm netdb nl_types poll " \
		"pthread pwd regex sched search semaphore spawn strings syslog tar termios ucontext " \
		"unistd utime utmpx wordexp getopt endian byteswap elf ifaddrs link pty features "
}

function complain(message) {
	printf "%s:%d: %s\n", FILENAME, FNR, message
}

# The module of a path below runtime/: "sync/" for a directory, "coll" for coll.c and coll_flow.c.
function module(path,    parts) {
	sub(/^runtime\//, "", path)
	if (split(path, parts, "/") > 1)
		return parts[1] "/"
	sub(/[_.].*$/, "", path)
	return path
}

function runtime_allows(path, target,    from, list, i, count) {
	from = module(path)
	if (from == module(target))
		return 1
	gsub(/^runtime\/|\.[ch]$/, "", path)
	if (path in may)
		from = path
	if (!(from in may))
		return module(target) !~ /\/$/
	sub(/^runtime\//, "", target)
	sub(/\.h$/, "", target)
	if (may[from] == "*" || index(free, " " target " "))
		return 1
	count = split(may[from], list, " ")
	for (i = 1; i <= count; i++)
		if (target == list[i] || list[i] ~ /\/$/ && index(target, list[i]) == 1)
			return 1
	return 0
}

function project(target,    stem) {
	stem = target
	sub(/^lib\//, "", stem)
	sub(/\.h$/, "", stem)
	if (target !~ /^(cmd|lib|runtime|tests)\//)
		complain("'" target "' is not written from the repository root")
	else if (target ~ /^cmd\// && FILENAME !~ /^(cmd|tests)\//)
		complain("only cmd/ and tests include '" target "'")
	else if (target ~ /^tests\// && FILENAME !~ /^tests\//)
		complain("only tests include '" target "'")
	else if (target ~ /^runtime\// && FILENAME ~ /^lib\//)
		complain("lib/ never includes runtime/: '" target "'")
	else if (target ~ /^lib\// && FILENAME ~ /^runtime\// && (stem in orchestrator || stem ~ /^ssh/))
		complain("runtime/ never includes '" target "'")
	else if (target ~ /^runtime\// && FILENAME ~ /^runtime\// &&
		 !runtime_allows(FILENAME, target))
		complain("'" target "' is not for runtime/" module(FILENAME) "; see tests/lint/layers.awk")
}

# A third-party header has one includer; the family lib/ssh*.c shares libssh2.
function foreign(target,    stem, owner) {
	stem = target
	sub(/\.h$/, "", stem)
	if (FILENAME ~ /^tests\// || index(standard, " " stem " ") ||
	    target ~ /^(sys|arpa|net|netinet|linux)\//)
		return
	owner = target ~ /^libssh2/ && FILENAME ~ /^lib\/ssh/ ? "lib/ssh*.c" : FILENAME
	if (!(target in includer))
		includer[target] = owner
	else if (includer[target] != owner)
		complain("<" target "> is included by " includer[target] " already")
}

match($0, /^[ \t]*#[ \t]*include[ \t]*["<][^">]+[">]/) {
	target = substr($0, RSTART, RLENGTH)
	quoted = target ~ /"/
	gsub(/^[^"<]*["<]|[">]$/, "", target)
	# A search looks at the clock to end in time.
	if (FILENAME ~ pure && target ~ io && !(FILENAME ~ /plan_/ && target ~ /clock/))
		complain("a pure module does no input or output: '" target "'")
	if (quoted)
		project(target)
	else
		foreign(target)
}
