%% Runs the scripts of gen_fsm_model_test.cpp on gen_statem: the other side of the differential test.
%%
%%   erlc gen_fsm_peer.erl && erl -noshell -run gen_fsm_peer main FILE
%% FILE holds one term a script; prints one line for each: its name, a tab, the states entered and the events handled.
-module(gen_fsm_peer).
-behaviour(gen_statem).
-export([main/1, init/1, callback_mode/0, handle_event/4]).

%% {Name, Fuel, Rules, Enters, Ops}
%%   Rules   #{{State, Kind} => {Next, Postpone, Timeouts, Internals}}, without those that do nothing
%%   Enters  #{State => Timeouts}
%%   Ops     [{Burst, WaitMs}]
main([File]) ->
    {ok, Scripts} = file:consult(File),
    Self = self(),
    %% All at once: they wait in real time.
    Pids = [spawn_link(fun() -> Self ! {self(), element(1, S), run(S)} end) || S <- Scripts],
    [receive {Pid, Name, Trace} -> io:format("~s\t~s~n", [Name, lists:join(" ", Trace)]) end || Pid <- Pids],
    erlang:halt(0, [{flush, true}]).

run({_, _, _, _, Ops} = Script) ->
    {ok, Pid} = gen_statem:start_link(?MODULE, Script, []),
    lists:foreach(fun({Burst, Wait}) -> step(Pid, Burst, Wait) end, Ops),
    {_, #{trace := Trace}} = sys:get_state(Pid),
    unlink(Pid),
    exit(Pid, kill),
    lists:reverse(Trace).

step(Pid, Burst, Wait) ->
    sys:suspend(Pid),
    [gen_statem:cast(Pid, Kind) || Kind <- Burst],
    sys:resume(Pid),
    receive after Wait -> ok end,
    sys:get_state(Pid).

callback_mode() -> [handle_event_function, state_enter].

init({_, Fuel, Rules, Enters, _}) ->
    {ok, 0, #{fuel => Fuel, rules => Rules, enters => Enters, trace => []}}.

handle_event(enter, _Old, State, Data) ->
    {keep_state, note(io_lib:format("enter~b", [State]), Data),
     [timeout(T) || T <- maps:get(State, maps:get(enters, Data), [])]};
handle_event(Type, Content, State, Data0) ->
    Kind = kind(Type, Content),
    Data = note(io_lib:format("~b:~b", [State, Kind]), Data0),
    case Data of
        #{fuel := 0} -> {keep_state, Data};
        #{fuel := Fuel, rules := Rules} ->
            {Next, Postpone, Timeouts, Internals} = maps:get({State, Kind}, Rules, {keep, false, [], []}),
            Actions = [{postpone, Postpone}] ++ [timeout(T) || T <- Timeouts]
                ++ [{next_event, internal, I} || I <- Internals],
            Left = Data#{fuel := Fuel - 1},
            case Next of
                keep -> {keep_state, Left, Actions};
                repeat -> {repeat_state, Left, Actions};
                _ -> {next_state, Next, Left, Actions}
            end
    end.

note(Text, #{trace := Trace} = Data) -> Data#{trace := [Text | Trace]}.

kind(cast, Kind) -> Kind;
kind(internal, Kind) -> Kind;
kind(state_timeout, _) -> 7;
kind(timeout, _) -> 8;
kind({timeout, x}, _) -> 9;
kind({timeout, y}, _) -> 10.

timeout({Which, After}) ->
    Name = element(Which + 1, {state_timeout, timeout, {timeout, x}, {timeout, y}}),
    case After of
        cancel -> {Name, cancel};
        _ -> {Name, After, none}
    end.
