package org.kaval.devices.platform;

import org.kaval.devices.Device;
import org.kaval.devices.InterruptLine;
import org.kaval.devices.Persistent;
import org.kaval.devices.SerialPort;
import org.kaval.devices.StateFields;
import org.kaval.memory.GuestRange;

/// 16550A UART (TI PC16550D data sheet §8): a serial port at eight consecutive ports.
///
/// | offset | DLAB | read                     | write                    |
/// |-------:|-----:|--------------------------|--------------------------|
/// |      0 |    0 | receive buffer (RBR)     | transmit holding (THR)   |
/// |      1 |    0 | interrupt enable (IER)   | interrupt enable (IER)   |
/// |    0-1 |    1 | divisor (16 bit LE)      | divisor (16 bit LE)      |
/// |      2 |      | interrupt identification (IIR) | FIFO control (FCR) |
/// |      3 |      | line control (LCR)       | line control (LCR)       |
/// |      4 |      | modem control (MCR)      | modem control (MCR)      |
/// |      5 |      | line status (LSR)        | ignored                  |
/// |      6 |      | modem status (MSR)       | ignored                  |
/// |      7 |      | scratch (SCR)            | scratch (SCR)            |
///
/// A byte is sent at once, whatever the divisor. While the other side has no room for what the
/// transmit FIFO would hold, THRE and TEMT are clear, as if the line were slow: a guest that looks
/// loses nothing, whether it then sends one byte or, as Linux does, a FIFO full of them. Received
/// bytes wait with the other side until the receive FIFO, 16 bytes or 1, has room. The other side
/// is always there (CTS, DSR, DCD).
///
/// Any thread (guarded by this).
public final class Uart16550 implements Device, Persistent {
    /// The first serial port of a PC.
    public static final GuestRange COM1 = new GuestRange(0x3f8, 8);

    /// The interrupt of {@link #COM1}.
    public static final int COM1_IRQ = 4;

    private static final int FIFO_SIZE = SerialPort.BURST;

    private static final int IER_RECEIVED = 1;
    private static final int IER_TRANSMIT_EMPTY = 1 << 1;
    private static final int IER_LINE_STATUS = 1 << 2;
    private static final int IER_MODEM_STATUS = 1 << 3;
    private static final int IER_MASK = 0xf;

    private static final int IIR_NONE = 1;
    private static final int IIR_MODEM_STATUS = 0;
    private static final int IIR_TRANSMIT_EMPTY = 2;
    private static final int IIR_RECEIVED = 4;
    private static final int IIR_LINE_STATUS = 6;
    private static final int IIR_TIMEOUT = 0xc;
    private static final int IIR_FIFO_ENABLED = 0xc0;

    private static final int FCR_ENABLE = 1;
    private static final int FCR_CLEAR_RECEIVE = 1 << 1;
    private static final int FCR_TRIGGER_SHIFT = 6;
    private static final int[] TRIGGERS = {1, 4, 8, 14};

    private static final int LCR_DLAB = 1 << 7;

    private static final int MCR_DTR = 1;
    private static final int MCR_RTS = 1 << 1;
    private static final int MCR_OUT1 = 1 << 2;
    private static final int MCR_OUT2 = 1 << 3;
    private static final int MCR_LOOP = 1 << 4;
    private static final int MCR_MASK = 0x1f;

    private static final int LSR_DATA_READY = 1;
    private static final int LSR_OVERRUN = 1 << 1;
    private static final int LSR_TRANSMIT_EMPTY = 1 << 5 | 1 << 6; // THRE and TEMT

    private static final int MSR_DELTA_RI = 1 << 2; // set by the trailing edge only
    private static final int MSR_CTS = 1 << 4;
    private static final int MSR_DSR = 1 << 5;
    private static final int MSR_RI = 1 << 6;
    private static final int MSR_DCD = 1 << 7;

    private final SerialPort port;
    private final InterruptLine line;
    private final byte[] fifo = new byte[FIFO_SIZE];
    private int fifoHead;
    private int fifoCount;
    private int divisor = 12; // 9600 baud
    private int ier;
    private int fcr;
    private int lcr;
    private int mcr;
    private int scratch;
    private int modemDelta;
    private boolean overrun;
    private boolean transmitEmptyPending;
    private boolean outputBlocked; // the guest has been told to wait
    private boolean lineHigh;
    private boolean touched;
    private long sent;

    /// @param port where bytes go and come from
    /// @param line is pulsed on each rising edge of the interrupt
    public Uart16550(SerialPort port, InterruptLine line) {
        this.port = port;
        this.line = line;
    }

    /// Looks whether the other side has input, or room for output again. Any thread.
    public synchronized void portChanged() {
        if (outputBlocked && port.canSend()) {
            outputBlocked = false;
            transmitEmptyPending = true;
        }
        updateLine();
    }

    /// What a guest has done with it, for a diagnosis.
    ///
    /// @param touched whether it has accessed any register
    /// @param sent how many bytes it has sent
    /// @param interrupts whether it has enabled any
    public record Use(boolean touched, long sent, boolean interrupts) {}

    public synchronized Use use() {
        return new Use(touched, sent, ier != 0);
    }

    @Override
    public synchronized long read(long offset, int size) {
        touched = true;
        long value = 0;
        for (int i = 0; i < size; i++) {
            value |= (long) readByte((int) offset + i) << (i * Byte.SIZE);
        }
        return value;
    }

    @Override
    public synchronized void write(long offset, int size, long value) {
        touched = true;
        for (int i = 0; i < size; i++) {
            writeByte((int) offset + i, (int) (value >> (i * Byte.SIZE)) & 0xff);
        }
    }

    /// With the input that the other side has for the guest: a byte is in one of them.
    @Override
    public synchronized void persist(StateFields state) {
        state.fill("fifo", fifo);
        fifoHead = state.number("fifoHead", fifoHead, 0, FIFO_SIZE - 1);
        fifoCount = state.number("fifoCount", fifoCount, 0, FIFO_SIZE);
        divisor = state.number("divisor", divisor, 0, 0xffff);
        ier = state.number("ier", ier, 0, IER_MASK);
        fcr = state.number("fcr", fcr, 0, 0xff);
        lcr = state.number("lcr", lcr, 0, 0xff);
        mcr = state.number("mcr", mcr, 0, MCR_MASK);
        scratch = state.number("scratch", scratch, 0, 0xff);
        modemDelta = state.number("modemDelta", modemDelta, 0, 0xf);
        overrun = state.flag("overrun", overrun);
        transmitEmptyPending = state.flag("transmitEmptyPending", transmitEmptyPending);
        outputBlocked = state.flag("outputBlocked", outputBlocked);
        touched = state.flag("touched", touched);
        sent = state.number("sent", sent, 0, Long.MAX_VALUE);
        port.persist(state.part("port"));
    }

    @Override
    public synchronized void restored() {
        lineHigh = false;
        portChanged();
    }

    @Override
    public String toString() {
        return "16550A UART";
    }

    private int readByte(int offset) {
        boolean divisorLatch = (lcr & LCR_DLAB) != 0;
        int value =
                switch (offset) {
                    case 0 -> divisorLatch ? divisor & 0xff : readReceiveBuffer();
                    case 1 -> divisorLatch ? divisor >> 8 : ier;
                    case 2 -> readInterruptIdentification();
                    case 3 -> lcr;
                    case 4 -> mcr;
                    case 5 -> readLineStatus();
                    case 6 -> readModemStatus();
                    default -> scratch;
                };
        updateLine();
        return value;
    }

    private void writeByte(int offset, int value) {
        boolean divisorLatch = (lcr & LCR_DLAB) != 0;
        switch (offset) {
            case 0 -> {
                if (divisorLatch) {
                    divisor = (divisor & 0xff00) | value;
                } else {
                    transmit(value);
                }
            }
            case 1 -> {
                if (divisorLatch) {
                    divisor = (divisor & 0xff) | value << 8;
                } else {
                    enableInterrupts(value & IER_MASK);
                }
            }
            case 2 -> controlFifo(value);
            case 3 -> lcr = value;
            case 4 -> controlModem(value & MCR_MASK);
            case 7 -> scratch = value;
            default -> {} // LSR and MSR are read-only
        }
        updateLine();
    }

    private int readReceiveBuffer() {
        fillFifo();
        if (fifoCount == 0) {
            return 0;
        }
        int value = Byte.toUnsignedInt(fifo[fifoHead]);
        fifoHead = (fifoHead + 1) % FIFO_SIZE;
        fifoCount--;
        noteFall();
        return value;
    }

    private int readInterruptIdentification() {
        int id = interruptId();
        if (id == IIR_TRANSMIT_EMPTY) {
            transmitEmptyPending = false;
        }
        return id | (fifoEnabled() ? IIR_FIFO_ENABLED : 0);
    }

    private int readLineStatus() {
        fillFifo();
        boolean canSend = loop() || port.canSend();
        outputBlocked |= !canSend;
        int value =
                (fifoCount > 0 ? LSR_DATA_READY : 0)
                        | (overrun ? LSR_OVERRUN : 0)
                        | (canSend ? LSR_TRANSMIT_EMPTY : 0);
        overrun = false;
        return value;
    }

    private int readModemStatus() {
        int value = modemStatus() | modemDelta;
        modemDelta = 0;
        return value;
    }

    private void transmit(int value) {
        transmitEmptyPending = false;
        noteFall();
        if (loop()) {
            receiveLoopedBack((byte) value);
            transmitEmptyPending = true;
            return;
        }
        sent++;
        port.send((byte) value);
        transmitEmptyPending = port.canSend();
        outputBlocked = !transmitEmptyPending;
    }

    private void receiveLoopedBack(byte value) {
        if (fifoCount == fifoCapacity()) {
            overrun = true;
            return;
        }
        fifo[(fifoHead + fifoCount) % FIFO_SIZE] = value;
        fifoCount++;
    }

    /// Enabling the transmitter's interrupt raises it at once while the transmitter is empty.
    private void enableInterrupts(int value) {
        boolean newlyEnabled = (value & ~ier & IER_TRANSMIT_EMPTY) != 0;
        ier = value;
        if (newlyEnabled) {
            transmitEmptyPending = loop() || port.canSend();
            outputBlocked = !transmitEmptyPending;
        }
    }

    private void controlFifo(int value) {
        boolean toggled = ((value ^ fcr) & FCR_ENABLE) != 0;
        if (toggled || (value & FCR_CLEAR_RECEIVE) != 0) {
            fifoCount = 0;
        }
        // with bit 0 clear the other bits are not programmed
        fcr = (value & FCR_ENABLE) != 0 ? value : 0;
    }

    private void controlModem(int value) {
        int before = modemStatus();
        mcr = value;
        int after = modemStatus();
        int changed = (before ^ after) >> 4;
        boolean ringEnded = (before & ~after & MSR_RI) != 0;
        modemDelta |= (changed & ~MSR_DELTA_RI) | (ringEnded ? MSR_DELTA_RI : 0);
    }

    /// In loop-back mode the modem's inputs are our own outputs.
    private int modemStatus() {
        if (!loop()) {
            return MSR_CTS | MSR_DSR | MSR_DCD;
        }
        return ((mcr & MCR_RTS) != 0 ? MSR_CTS : 0)
                | ((mcr & MCR_DTR) != 0 ? MSR_DSR : 0)
                | ((mcr & MCR_OUT1) != 0 ? MSR_RI : 0)
                | ((mcr & MCR_OUT2) != 0 ? MSR_DCD : 0);
    }

    private void fillFifo() {
        if (loop()) {
            return;
        }
        while (fifoCount < fifoCapacity()) {
            int value = port.receive();
            if (value < 0) {
                return;
            }
            fifo[(fifoHead + fifoCount) % FIFO_SIZE] = (byte) value;
            fifoCount++;
        }
    }

    /// The pending interrupt of highest priority (data sheet, table V).
    private int interruptId() {
        if (overrun && (ier & IER_LINE_STATUS) != 0) {
            return IIR_LINE_STATUS;
        }
        if (fifoCount > 0 && (ier & IER_RECEIVED) != 0) {
            // less than the trigger level: no more will come before the timeout, which is now
            return fifoCount >= trigger() ? IIR_RECEIVED : IIR_TIMEOUT;
        }
        if (transmitEmptyPending && (ier & IER_TRANSMIT_EMPTY) != 0) {
            return IIR_TRANSMIT_EMPTY;
        }
        if (modemDelta != 0 && (ier & IER_MODEM_STATUS) != 0) {
            return IIR_MODEM_STATUS;
        }
        return IIR_NONE;
    }

    private void updateLine() {
        fillFifo();
        boolean high = interruptId() != IIR_NONE;
        if (high && !lineHigh) {
            line.pulse();
        }
        lineHigh = high;
    }

    /// In the middle of an access: if the line is low now, its next rise is an edge, even when it
    /// comes before the access is over.
    private void noteFall() {
        lineHigh &= interruptId() != IIR_NONE;
    }

    private int trigger() {
        return fifoEnabled() ? TRIGGERS[fcr >> FCR_TRIGGER_SHIFT] : 1;
    }

    private int fifoCapacity() {
        return fifoEnabled() ? FIFO_SIZE : 1;
    }

    private boolean fifoEnabled() {
        return (fcr & FCR_ENABLE) != 0;
    }

    private boolean loop() {
        return (mcr & MCR_LOOP) != 0;
    }
}
