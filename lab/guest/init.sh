#!/bin/busybox sh
# The guest's first program. It says on the console which nodes and CPUs it sees, in one line that starts with
# "lab: userspace" and ends with "end", and powers the guest off. Only ash's own commands stand before that line:
# each program that has to be started costs an emulated guest 20 ms.

busybox=/bin/busybox
$busybox mount -a # what /etc/fstab names, in one go

# say WORDS...: one line on the console that nothing can break into. The kernel prints a record of /dev/kmsg in one
# piece (kernel/printk, devkmsg_write); level 0 gets through "quiet" too.
say() {
    echo "<0>$*" 2>/dev/null >/dev/kmsg || echo "$*" >/dev/console
}

# members LIST: how many a list of the kernel's holds, such as 0-3,8 (Documentation/admin-guide/cputopology.rst).
members() {
    count=0
    old=$IFS IFS=,
    for range in $1; do
        first=${range%-*} last=${range#*-}
        count=$((count + last - first + 1))
    done
    IFS=$old
}

nodes=0 details=
for folder in /sys/devices/system/node/node[0-9]*; do
    [ -d "$folder" ] || continue
    node=${folder##*/} list= kb=0 far=
    nodes=$((nodes + 1))
    for link in "$folder"/cpu[0-9]*; do # 6.1's cpulist is empty for who reads byte by byte, as ash does
        [ -e "$link" ] && list=$list,${link##*/cpu}
    done
    read -r far <"$folder/distance"
    while read -r _ _ word size _; do
        [ "$word" = MemTotal: ] && kb=$size && break
    done <"$folder/meminfo"
    old=$IFS IFS=' '
    set -- $far
    IFS=,
    far="$*"
    IFS=$old list=${list:-,none}
    details="$details $node.cpus=${list#,} $node.memory_kb=$kb $node.distances=$far"
done

list=0
[ -r /sys/devices/system/cpu/online ] && read -r list </sys/devices/system/cpu/online
members "$list"
cpus=$count
read -r _ _ release _ </proc/version
read -r words </proc/cmdline

numa=yes
[ "$nodes" = 0 ] && nodes=1 numa=no # a kernel without NUMA shows no node, and has one

# A record is cut at about 1000 bytes: many nodes get lines of their own.
if [ ${#details} -gt 700 ]; then
    set -- $details
    while [ $# -ge 3 ]; do
        say "lab: node $1 $2 $3"
        shift 3
    done
    details=
fi
marker="lab: userspace nodes=$nodes cpus=$cpus numa=$numa release=$release$details"

# A real board is told a word for this boot (lab/board/gate.py). Its line may lose bytes: the marker then tells that word
# and which kernel runs (the build id, from the notes that the linker made), has a check sum, and is said again below.
board=
case " $words " in *" lab.boot="*)
    board=${words#*lab.boot=} board=${board%% *}
    notes=$($busybox hexdump -v -e '1/1 "%02x"' /sys/kernel/notes 2>/dev/null)
    case $notes in *040000001400000003000000474e5500*)
        build=${notes#*040000001400000003000000474e5500}
        marker="$marker build=${build%"${build#????????????????????????????????????????}"}"
        ;;
    esac
    marker="$marker boot=$board"
    sum=$(printf %s "$marker" | $busybox md5sum)
    marker="$marker sum=${sum%????????????????????????  -}"
    ;;
esac
say "$marker end"

# What comes now is only reached where somebody waits for it.
case " $words " in *" lab.shell "*) shell=yes ;; *) shell= ;; esac
ran=
if [ -n "$shell" ] || [ -x /lab/run ]; then
    $busybox mkdir -p /dev/pts /dev/shm /tmp
    $busybox mount -t devtmpfs dev /dev 2>/dev/null
    $busybox mount -t tmpfs tmp /tmp 2>/dev/null
    $busybox mount -t debugfs debug /sys/kernel/debug 2>/dev/null
    $busybox --install -s /bin
    export PATH=/bin HOME=/ TERM=vt100
    tty=/dev/console
    : 2>/dev/null >/dev/ttyS0 && tty=/dev/ttyS0 # whatever console= says, the lab listens to the serial line
    if [ -x /lab/run ]; then
        /lab/run <$tty >$tty 2>&1
        ran="lab: run status=$?"
        say "$ran end"
    fi
    [ -n "$shell" ] && $busybox setsid $busybox cttyhack sh <$tty >$tty 2>&1
fi

# The lab cuts a board's power when it has read what it waits for.
if [ -n "$board" ]; then
    times=0
    while [ $times -lt 60 ]; do
        $busybox sleep 1
        say "$marker end"
        [ -z "$ran" ] || say "$ran end"
        times=$((times + 1))
    done
fi

# Without ACPI there is nothing that powers off; QEMU is told to end on a reset.
[ -d /sys/firmware/acpi ] && $busybox poweroff -f
$busybox reboot -f
